//! Events that are sent later, unless somebody says otherwise.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, eventually::eventually, path::v3};

const DELAYED: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn delays(user: &User, room: &Room, txn: &str, delay_ms: i64) -> String {
    let path = v3(&["rooms", &room.id, "send", "m.room.message", txn]);
    let body = json!({"msgtype": "m.text", "body": txn});
    let answer = user
        .put(path, &body)
        .query("org.matrix.msc4140.delay", delay_ms)
        .await
        .ok();
    answer["delay_id"].as_str().expect("an ID").to_owned()
}

async fn delays_state(user: &User, room: &Room, key: &str, delay_ms: i64) -> String {
    let path = v3(&["rooms", &room.id, "state", "org.example.call", key]);
    let answer = user
        .put(path, &json!({}))
        .query("org.matrix.msc4140.delay", delay_ms)
        .await
        .ok();
    answer["delay_id"].as_str().expect("an ID").to_owned()
}

/// How many wait, and what became of the others, the newest first.
async fn list(user: &User) -> (usize, Vec<Value>) {
    let list = user.get(DELAYED).await.ok();
    let waiting = list["delayed_events"].as_array().expect("a list").len();
    (
        waiting,
        list["finalised"].as_array().expect("a list").clone(),
    )
}

#[tokio::test]
async fn an_event_comes_when_its_time_has_come() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let since = bob.syncs().await.next_batch();
    let first = delays(&alice, &room, "soon", 200).await;
    assert_eq!(delays(&alice, &room, "soon", 200).await, first, "on retry");
    let came = |sync: &tests::sync::Sync| {
        let events = sync.0["rooms"]["join"][&room.id]["timeline"]["events"]
            .as_array()?
            .clone();
        events
            .into_iter()
            .find(|event| event["content"]["body"] == "soon")
    };
    let (event, _) = bob.syncs_when(&since, came).await;
    assert_eq!(event["sender"], alice.id);
    // Others may see it a moment before it is noted.
    let ended = eventually("it is noted", async || {
        let (waiting, ended) = list(&alice).await;
        (waiting == 0).then_some(ended)
    })
    .await;
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["outcome"], "send");
    assert_eq!(ended[0]["event_id"], event["event_id"]);
    assert_eq!(list(&bob).await, (0, Vec::new()), "nobody else's");
    let again = format!("{DELAYED}/{first}/cancel");
    alice
        .post(again, &json!({}))
        .await
        .refused(404, "M_NOT_FOUND");
}

/// A call leaves the server over a crash: what was due meanwhile is sent then.
#[tokio::test]
async fn delayed_events_outlive_a_restart() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let content = json!({"in": "call"});
    alice
        .sets_state(&room, "org.example.call", &alice.id, &content)
        .await
        .ok();
    let long = delays(&alice, &room, "later", DAY_MS).await;
    delays_state(&alice, &room, &alice.id, 300).await;
    let since = alice.syncs().await.next_batch();
    server.stop().await;
    server.restart().await;
    let left = |sync: &tests::sync::Sync| {
        let events = sync.0["rooms"]["join"][&room.id]["timeline"]["events"]
            .as_array()?
            .clone();
        events
            .into_iter()
            .find(|event| event["type"] == "org.example.call")
    };
    let (event, _) = alice.syncs_when(&since, left).await;
    assert_eq!(event["content"], json!({}));
    assert_eq!(list(&alice).await.0, 1, "the other one still waits");
    let send = format!("{DELAYED}/{long}");
    server.post(send, &json!({"action": "send"})).await.ok();
    assert_eq!(list(&alice).await.0, 0);
}

#[tokio::test]
async fn whoever_knows_the_id_manages_a_delayed_event() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let [cancelled, restarted, sent] = [
        delays(&alice, &room, "cancelled", DAY_MS).await,
        delays(&alice, &room, "restarted", DAY_MS).await,
        delays(&alice, &room, "sent", DAY_MS).await,
    ];
    for (id, action) in [
        (&cancelled, "cancel"),
        (&restarted, "restart"),
        (&sent, "send"),
    ] {
        server
            .post(format!("{DELAYED}/{id}/{action}"), &json!({}))
            .await
            .ok();
    }
    let (waiting, ended) = list(&alice).await;
    assert_eq!((waiting, ended.len()), (1, 2));
    let bodies = alice.all_messages(&room, "f", 50).await;
    let bodies: Vec<&Value> = bodies
        .iter()
        .map(|event| &event["content"]["body"])
        .collect();
    assert!(
        bodies.contains(&&json!("sent")) && !bodies.contains(&&json!("cancelled")),
        "{bodies:?}"
    );
    for id in [&cancelled, &sent, "no-such-id"] {
        let action = json!({"action": "restart"});
        server
            .post(format!("{DELAYED}/{id}"), &action)
            .await
            .refused(404, "M_NOT_FOUND");
    }
    let path = format!("{DELAYED}/{restarted}");
    server
        .post(path.clone(), &json!({}))
        .await
        .refused(400, "M_MISSING_PARAM");
    server
        .post(path.clone(), &json!({"action": "eat"}))
        .await
        .refused(400, "M_INVALID_PARAM");
    server
        .post(path + "/eat", &json!({}))
        .await
        .refused(404, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn state_that_others_set_makes_delayed_state_void() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice
        .creates_room()
        .option("preset", json!("trusted_private_chat"))
        .with([&bob])
        .await;
    let void = delays_state(&alice, &room, "one", DAY_MS).await;
    delays_state(&alice, &room, "two", DAY_MS).await;
    let content = json!({"a": 1});
    alice
        .sets_state(&room, "org.example.call", "two", &content)
        .await
        .ok();
    bob.sets_state(&room, "org.example.call", "one", &content)
        .await
        .ok();
    let restart = json!({"action": "restart"});
    server
        .post(format!("{DELAYED}/{void}"), &restart)
        .await
        .refused(404, "M_NOT_FOUND");
    let (waiting, ended) = list(&alice).await;
    assert_eq!((waiting, ended.len()), (1, 1));
    assert_eq!(ended[0]["outcome"], "cancel");
}

#[tokio::test]
async fn delays_have_limits() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let path = |txn: &str| v3(&["rooms", &room.id, "send", "m.room.message", txn]);
    let body = json!({"msgtype": "m.text", "body": "x"});
    let delay = "org.matrix.msc4140.delay";
    let refused = alice.put(path("a"), &body).query(delay, DAY_MS + 1).await;
    let refused = refused.refused(400, "M_UNKNOWN");
    assert_eq!(
        refused["org.matrix.msc4140.errcode"],
        "M_MAX_DELAY_EXCEEDED"
    );
    alice
        .put(path("b"), &body)
        .query(delay, -1)
        .await
        .refused(400, "M_INVALID_PARAM");
    alice
        .put(path("c"), &body)
        .query(delay, "soon")
        .await
        .refused(400, "M_INVALID_PARAM");
    eve.put(path("d"), &body)
        .query(delay, 1000)
        .await
        .refused(403, "M_FORBIDDEN");
    for n in 0..100 {
        delays(&alice, &room, &format!("n{n}"), DAY_MS).await;
    }
    alice
        .put(path("e"), &body)
        .query(delay, DAY_MS)
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    // What cannot be sent when its time has come is told.
    let late = delays(&eve, &eve.creates_room().await, "late", DAY_MS).await;
    assert!(!late.is_empty());
}

/// UNST-02: what the rules refuse when the time has come is told to its owner.
#[tokio::test]
async fn a_delayed_event_that_fails_is_told() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let id = delays(&bob, &room, "too late", DAY_MS).await;
    alice.kicks(&room, &bob).await.ok();
    let send = json!({"action": "send"});
    server
        .post(format!("{DELAYED}/{id}"), &send)
        .await
        .refused(403, "M_FORBIDDEN");
    let (waiting, ended) = list(&bob).await;
    assert_eq!((waiting, ended.len()), (0, 1));
    assert_eq!(
        (&ended[0]["outcome"], &ended[0]["reason"]),
        (&json!("cancel"), &json!("error"))
    );
    assert!(ended[0]["error"].is_object(), "{ended:?}");
}
