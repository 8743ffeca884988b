//! Waiting and sending over the WebSocket: `spec/api/extensions/websocket.md`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tests::{
    TestServer,
    socket::{PATH, Socket},
};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn two_people_talk_over_sockets() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let earlier = alice.says(&room, "earlier").await;
    let mut hers = alice.opens_socket("").await;
    let mut his = bob.opens_socket("").await;
    assert!(
        his.push().await.joined(&room).is_some(),
        "the first push is an initial sync"
    );
    hers.push().await;

    let hello = json!({"msgtype": "m.text", "body": "hello"});
    let send = json!({"room_id": room.id, "event_type": "m.room.message", "content": hello});
    let sent = hers
        .asks_as("txn 1", "send", send.clone())
        .await
        .expect("sent");
    let event_id = sent["event_id"].as_str().expect("an event ID").to_owned();

    let seen = his
        .pushes_until(|push| push.event(&room, &event_id).cloned())
        .await;
    assert_eq!(seen["content"], hello);
    let echo = hers
        .pushes_until(|push| push.event(&room, &event_id).cloned())
        .await;
    assert_eq!(echo["unsigned"]["transaction_id"], "txn 1");
    assert_eq!(
        hers.asks_as("txn 1", "send", send).await,
        Ok(sent),
        "on retry"
    );
    let over_http = alice
        .sends_as(&room, "m.room.message", "txn 1", &hello)
        .await
        .ok()
        .event_id;
    assert_eq!(over_http, event_id, "on retry over HTTP");

    his.asks("receipt", json!({"room_id": room.id, "event_id": event_id}))
        .await;
    hers.pushes_until(|push| push.of_room(&room, "ephemeral", "m.receipt").cloned())
        .await;
    his.asks(
        "typing",
        json!({"room_id": room.id, "typing": true, "timeout": 20000}),
    )
    .await;
    let typing = hers
        .pushes_until(|push| push.of_room(&room, "ephemeral", "m.typing").cloned())
        .await;
    assert_eq!(typing["user_ids"], json!([bob.id]));
    his.asks(
        "read_markers",
        json!({"room_id": room.id, "m.fully_read": event_id}),
    )
    .await;
    his.pushes_until(|push| push.of_room(&room, "account_data", "m.fully_read").cloned())
        .await;
    // It goes back only on purpose: MSC4446.
    let back = |allowed: bool| {
        let name = "com.beeper.allow_backward";
        json!({"room_id": room.id, "m.fully_read": earlier, name: allowed})
    };
    his.asks("read_markers", back(false)).await;
    his.asks("read_markers", back(true)).await;
    let marker = his
        .pushes_until(|push| push.of_room(&room, "account_data", "m.fully_read").cloned())
        .await;
    assert_eq!(marker["event_id"], earlier);
    let receipt = json!({
        "room_id": room.id, "event_id": event_id, "receipt_type": "m.read", "com.beeper.allow_backward": true,
    });
    let refusal = his.asks_as("back", "receipt", receipt).await;
    assert_eq!(
        refusal.expect_err("only markers")["errcode"],
        "M_INVALID_PARAM"
    );

    let topic =
        json!({"room_id": room.id, "event_type": "m.room.topic", "content": {"topic": "birds"}});
    hers.asks("state", topic).await;
    assert_eq!(
        bob.state(&room, "m.room.topic", "").await.ok()["topic"],
        "birds"
    );
    hers.asks("redact", json!({"room_id": room.id, "event_id": event_id}))
        .await;
    hers.asks("ping", json!({})).await;
}

#[tokio::test]
async fn a_socket_comes_back_without_losing_anything() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut socket = bob.opens_socket("").await;
    let processed = socket.push().await.next_batch();
    let first = alice.says(&room, "while he reads").await;
    socket
        .pushes_until(|push| push.event(&room, &first).cloned())
        .await;
    drop(socket);
    let second = alice.says(&room, "while he is away").await;

    let mut again = bob.opens_socket(&format!("since={processed}")).await;
    let push = again.push().await;
    assert!(
        push.event(&room, &first).is_some(),
        "what he did not finish comes again"
    );
    assert!(push.event(&room, &second).is_some(), "what he missed comes");
    assert!(again.is_quiet().await, "nothing comes twice");
}

#[tokio::test]
async fn what_piles_up_is_merged() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut socket = bob.opens_socket("").await;
    let mut next_batch = socket.push_unacknowledged().await.next_batch();
    for message in 0..7 {
        let event = alice.says(&room, &format!("message {message}")).await;
        let push = socket.push_unacknowledged().await;
        assert!(push.event(&room, &event).is_some(), "one push for each");
        next_batch = push.next_batch();
    }
    let late = [
        alice.says(&room, "eight").await,
        alice.says(&room, "nine").await,
    ];
    assert!(
        socket.is_quiet().await,
        "eight pushes wait for their acknowledgement"
    );

    socket.asks("ack", json!({"next_batch": next_batch})).await;
    let merged = socket.push().await;
    for event in &late {
        assert!(
            merged.event(&room, event).is_some(),
            "{event} is missing in {merged:?}"
        );
    }
    let unknown = socket
        .asks_as("x", "ack", json!({"next_batch": next_batch}))
        .await;
    assert_eq!(unknown.unwrap_err()["errcode"], "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_newer_socket_takes_the_place_of_an_older() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let mut older = alice.opens_socket("").await;
    let mut other_window = alice.opens_socket("conn_id=second").await;
    let mut newer = alice.opens_socket("").await;
    assert_eq!(older.closes().await, Some(4001));
    newer.asks("ping", json!({})).await;
    other_window.asks("ping", json!({})).await;
}

#[tokio::test]
async fn nobody_opens_more_sockets_and_streams_than_anybody_needs() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let mut sockets = Vec::new();
    for n in 0..100 {
        let query = format!("sliding=true&conn_id={n}");
        sockets.push(alice.opens_socket(&query).await);
    }
    let open = async |conn_id: &str| {
        let query = format!("sliding=true&conn_id={conn_id}");
        Socket::open(server.connection(), &alice.token, &query).await
    };
    let (status, body) = open("more").await.err().expect("a refusal");
    assert_eq!(
        (status, &body["errcode"]),
        (429, &json!("M_LIMIT_EXCEEDED"))
    );
    assert!(body["retry_after_ms"].is_u64(), "{body}");
    // A newer one of the same name takes the place of the older, and a closed one leaves its own.
    assert!(open("7").await.is_ok());
    drop(sockets.pop());
    tests::eventually::eventually("there is a place", async || open("more").await.ok()).await;

    let path = "/_matrix/client/unstable/org.matrix.msc2108/sync/sse";
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(alice.opens_events("", None).await);
    }
    alice.get(path).await.refused(429, "M_LIMIT_EXCEEDED");
}

/// SYNC-09: under the name that it had before it was specified, too.
#[tokio::test]
async fn a_socket_knows_state_after_by_its_old_name() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let name = "org.matrix.msc4222";
    let mut socket = alice
        .opens_socket(&format!("{name}.use_state_after=true"))
        .await;
    let first = socket.push().await;
    let joined = first.joined(&room).expect("the room");
    assert!(
        joined[format!("{name}.state_after")].is_object(),
        "{joined}"
    );
    assert!(joined.get("state_after").is_none() && joined.get("state").is_none());
    let mut socket = alice.opens_socket("use_state_after=true").await;
    let first = socket.push().await;
    assert!(first.joined(&room).expect("the room")["state_after"].is_object());
}

#[tokio::test]
async fn a_revoked_token_closes_its_sockets() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let mut socket = alice.opens_socket("").await;
    socket.push().await;
    alice
        .post("/_matrix/client/v3/logout", &json!({}))
        .await
        .ok();
    assert_eq!(socket.closes().await, Some(4003));
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let mut socket = alice.opens_socket("").await;
    socket.push().await;
    let (code, _) = tokio::join!(socket.closes(), server.stop());
    assert_eq!(code, Some(1012));
}

#[tokio::test]
async fn handshakes_are_refused_like_requests() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let connection = server.connection();
    let open = async |token: &str, query: &str| {
        let refused = Socket::open(connection, token, query)
            .await
            .err()
            .expect("a refusal");
        (
            refused.0,
            refused.1["errcode"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        open("nonsense", "").await,
        (401, "M_UNKNOWN_TOKEN".to_owned())
    );
    for (query, errcode) in [
        ("since=nonsense", "M_INVALID_PARAM"),
        ("filter=nonsense", "M_INVALID_PARAM"),
        ("filter=%7B", "M_NOT_JSON"),
        ("use_state_after=5", "M_INVALID_PARAM"),
    ] {
        assert_eq!(
            open(&alice.token, query).await,
            (400, errcode.to_owned()),
            "{query}"
        );
    }
    alice.get(PATH).await.refused(426, "M_UNKNOWN");

    let encoded = URL_SAFE_NO_PAD.encode(&alice.token);
    let own = connection.base();
    let mut socket = Socket::open_from_page(connection, &encoded, &own)
        .await
        .expect("our own page");
    socket.push().await;
    let evil = Socket::open_from_page(connection, &encoded, "https://evil.example").await;
    assert_eq!(evil.err().expect("a refusal").0, 403);
}

#[tokio::test]
async fn bad_frames_are_answered_or_close_the_socket() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    let mut socket = bob.opens_socket("").await;
    let deep = format!("{{\"id\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (frame, errcode) in [
        ("nonsense", "M_NOT_JSON"),
        ("", "M_NOT_JSON"),
        ("[]", "M_BAD_JSON"),
        (&*deep, "M_BAD_JSON"),
        (r#"{"id":7,"method":"ping"}"#, "M_BAD_JSON"),
        (r#"{"id":"a","method":"fly"}"#, "M_UNRECOGNIZED"),
        (
            r#"{"id":"a","method":"send","params":{"room_id":7}}"#,
            "M_BAD_JSON",
        ),
    ] {
        socket.send_message(Message::text(frame)).await;
        assert_eq!(
            socket.answer().await["error"]["errcode"],
            errcode,
            "{frame:.80}"
        );
    }
    let send =
        |content| json!({"room_id": room.id, "event_type": "m.room.message", "content": content});
    let forbidden = socket
        .asks_as("a", "send", send(json!({})))
        .await
        .unwrap_err();
    assert_eq!(forbidden["errcode"], "M_FORBIDDEN");
    let mut hers = alice.opens_socket("").await;
    let float = hers
        .asks_as("b", "send", send(json!({"a": 1.5})))
        .await
        .unwrap_err();
    assert_eq!(float["errcode"], "M_BAD_JSON");
    let large = hers
        .asks_as("c", "send", send(json!({"a": "x".repeat(66_000)})))
        .await
        .unwrap_err();
    assert_eq!(large["errcode"], "M_TOO_LARGE");

    hers.send_message(Message::text("x".repeat(140_000))).await;
    assert_eq!(hers.closes().await, Some(1009));
    socket.send_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.closes().await, Some(1003));
}

/// Sliding sync over a socket: windows that change while it is open. SSS, and `websocket.md`, "Sliding sync".
#[tokio::test]
async fn a_socket_carries_windows_that_change() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let [old, new] = [
        alice.creates_room().with([&bob]).await,
        alice.creates_room().with([&bob]).await,
    ];
    let mut socket = alice.opens_socket("sliding=true").await;
    let window = |last: u64| json!({"conn_id": "main", "lists": {"all": {"range": [0, last], "timeline_limit": 1, "required_state": {}}}});
    socket.asks("sync", window(0)).await;
    let first = socket.slide().await;
    assert_eq!(first["conn_id"], "main");
    assert_eq!(first["data"]["lists"]["all"]["count"], 2);
    let rooms = first["data"]["rooms"].as_object().expect("rooms");
    assert_eq!(rooms.keys().collect::<Vec<_>>(), [&new.id]);

    socket.asks("sync", window(1)).await;
    let wider = socket.slide().await;
    let rooms = wider["data"]["rooms"].as_object().expect("rooms");
    assert_eq!(
        rooms.keys().collect::<Vec<_>>(),
        [&old.id],
        "the other is known"
    );

    bob.says(&new, "hello").await;
    let news = socket.slide().await;
    let timeline = &news["data"]["rooms"][&new.id]["timeline_events"];
    assert_eq!(timeline[0]["content"]["body"], "hello");
    assert!(socket.is_quiet().await, "no ordinary sync beside it");

    // It goes on over HTTP and comes back.
    let pos = news["data"]["pos"].as_str().expect("pos");
    let mut body = window(1);
    body["pos"] = json!(pos);
    bob.says(&old, "over HTTP").await;
    let answer = alice.post("/_matrix/client/v4/sync", &body).await.ok();
    assert_eq!(
        answer["rooms"][&old.id]["timeline_events"][0]["content"]["body"],
        "over HTTP"
    );

    let mut unknown = window(1);
    unknown["conn_id"] = json!("other");
    unknown["pos"] = json!("p1.2.3.4");
    socket.asks("sync", unknown).await;
    let refused = loop {
        let slide = socket.slide().await;
        if slide["conn_id"] == "other" {
            break slide;
        }
    };
    assert_eq!(
        (&refused["conn_id"], &refused["error"]["errcode"]),
        (&json!("other"), &json!("M_UNKNOWN_POS"))
    );
    for (params, errcode) in [
        (json!({"lists": 7}), "M_BAD_JSON"),
        (json!({"set_presence": "dancing"}), "M_INVALID_PARAM"),
    ] {
        let error = socket
            .asks_as("bad", "sync", params)
            .await
            .expect_err("refused");
        assert_eq!(error["errcode"], errcode);
    }
    for name in ["b", "c", "d"] {
        socket.asks("sync", json!({"conn_id": name})).await;
    }
    let error = socket
        .asks_as("many", "sync", json!({"conn_id": "e"}))
        .await
        .expect_err("too many");
    assert_eq!(error["errcode"], "M_INVALID_PARAM");
    socket
        .asks(
            "presence",
            json!({"presence": "unavailable", "status_msg": "lunch"}),
        )
        .await;
    let status = bob
        .get(tests::path::v3(&["presence", &alice.id, "status"]))
        .await
        .ok();
    assert_eq!(status["status_msg"], "lunch");
}
