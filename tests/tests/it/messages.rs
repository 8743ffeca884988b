//! Sending, redacting and reading messages.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, path::v3};

#[tokio::test]
async fn a_redacted_message_loses_its_body_for_everyone() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob, &eve]).await;
    let message = bob.says(&room, "the secret").await;

    let redaction = alice.redacts(&room, &message).txn("t1").await.ok().event_id;
    assert_eq!(
        alice.redacts(&room, &message).txn("t1").await.ok().event_id,
        redaction,
        "on retry"
    );
    let seen = eve.syncs_until(&room, &redaction).await.event(&message);
    assert!(seen.content.is_empty(), "still readable: {seen:?}");
    eve.redacts(&room, &redaction)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_transaction_id_makes_one_event_per_device_and_path() {
    // Synapse leaves the event type out of the key.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let [room, other] = [alice.creates_room().await, alice.creates_room().await];
    let send = |user: &User, room: &Room, kind: &str, body: &str| {
        user.sends_as(
            room,
            kind,
            "t1",
            &json!({"msgtype": "m.text", "body": body}),
        )
    };
    let first = send(&alice, &room, "m.room.message", "first")
        .await
        .ok()
        .event_id;
    assert_eq!(
        send(&alice, &room, "m.room.message", "another body")
            .await
            .ok()
            .event_id,
        first
    );
    for different in [
        send(&alice, &other, "m.room.message", "another room"),
        send(&alice, &room, "org.example", "another type"),
        send(
            &alice.logs_in_again().await,
            &room,
            "m.room.message",
            "another device",
        ),
    ] {
        assert_ne!(different.await.ok().event_id, first);
    }
    assert_eq!(
        alice.event(&room, &first).await.ok()["content"]["body"],
        "first"
    );
    assert_eq!(
        alice
            .all_messages(&room, "b", 100)
            .await
            .iter()
            .filter(|e| e["content"]["body"] == "first")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_transaction_id_counts_for_a_device_whatever_its_token() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let content = json!({"msgtype": "m.text", "body": "once"});
    let logs_in = |extra: Value| {
        let mut body = json!({
            "type": "m.login.password", "password": alice.password,
            "identifier": {"type": "m.id.user", "user": alice.id},
        });
        let body_object = body.as_object_mut().expect("an object");
        body_object.extend(extra.as_object().cloned().unwrap_or_default());
        alice.post("/_matrix/client/v3/login", &body).anonymous()
    };
    let session = logs_in(json!({"refresh_token": true})).await.ok();
    let token = |session: &Value| {
        session["access_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    };
    let send = async |token: &str| {
        let sent = alice.sends_as(&room, "m.room.message", "t1", &content);
        sent.token(token).await.ok().event_id
    };
    let first = send(&token(&session)).await;
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let refreshed = alice.post("/_matrix/client/v3/refresh", &refresh);
    let refreshed = refreshed.anonymous().await.ok();
    assert_eq!(send(&token(&refreshed)).await, first, "with a new token");
    let again = logs_in(json!({"device_id": session["device_id"]}))
        .await
        .ok();
    assert_eq!(send(&token(&again)).await, first, "logged in again");
    let other = logs_in(json!({})).await.ok();
    assert_ne!(send(&token(&other)).await, first, "another device");
}

#[tokio::test]
async fn a_transaction_id_of_a_redaction_counts_for_its_path() {
    // Synapse fails at a redaction that is sent like a message before version 11.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let [one, two] = [alice.says(&room, "1").await, alice.says(&room, "2").await];
    let redact = async |target: &str| {
        let content = json!({"redacts": target});
        let sent = alice.sends_as(&room, "m.room.redaction", "t1", &content);
        sent.await.ok().event_id
    };
    let first = redact(&one).await;
    assert_eq!(redact(&two).await, first, "the same path again");
    let event = alice.event(&room, &two).await.ok();
    assert_eq!(event["content"]["body"], "2", "it is not redacted");
    let other = alice.redacts(&room, &one).txn("t1").await.ok().event_id;
    assert_ne!(other, first, "another path");
}

#[tokio::test]
async fn a_retry_while_the_first_is_on_its_way_waits_for_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let content = json!({"msgtype": "m.text", "body": "once"});
    let sends = (0..8).map(|_| {
        alice
            .sends_as(&room, "m.room.message", "same", &content)
            .into_future()
    });
    let mut ids: Vec<_> = futures_util::future::join_all(sends)
        .await
        .into_iter()
        .map(|sent| sent.ok().event_id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn the_sender_finds_the_transaction_id_and_nobody_else() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let id = alice
        .sends_as(
            &room,
            "m.room.message",
            "mine",
            &json!({"msgtype": "m.text", "body": "x"}),
        )
        .await
        .ok()
        .event_id;
    let tablet = alice.logs_in_again().await;
    for (user, expected) in [
        (&alice, json!("mine")),
        (&tablet, json!(null)),
        (&bob, json!(null)),
    ] {
        let event = user.event(&room, &id).await.ok();
        assert_eq!(
            event["unsigned"]["transaction_id"], expected,
            "in event, for {}",
            user.device
        );
        let event = user.syncs_until(&room, &id).await.event(&id).all;
        assert_eq!(
            event["unsigned"]["transaction_id"], expected,
            "in sync, for {}",
            user.device
        );
        let events = user.all_messages(&room, "b", 100).await;
        let event = events
            .iter()
            .find(|event| event["event_id"] == id)
            .expect("the message");
        assert_eq!(
            event["unsigned"]["transaction_id"], expected,
            "in messages, for {}",
            user.device
        );
    }
}

#[tokio::test]
async fn only_members_send() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().option("invite", json!([bob.id])).await;
    for outsider in [&bob, &eve] {
        outsider
            .sends(
                &room,
                "m.room.message",
                &json!({"msgtype": "m.text", "body": "hi"}),
            )
            .await
            .refused(403, "M_FORBIDDEN");
    }
    let unknown = Room {
        id: "!there-is-no-such-room:localhost".to_owned(),
    };
    let answer = alice
        .sends(
            &unknown,
            "m.room.message",
            &json!({"msgtype": "m.text", "body": "hi"}),
        )
        .await;
    assert!(matches!(answer.status, 403 | 404), "{}", answer.summary());
}

#[tokio::test]
async fn sending_needs_the_level_of_the_type() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for version in ["10", "11", "12"] {
        let levels = json!({"events": {"org.example.announcement": 50}, "events_default": 0});
        let room = alice
            .creates_room()
            .version(version)
            .option("power_level_content_override", levels)
            .with([&bob])
            .await;
        bob.sends(&room, "org.example.announcement", &json!({}))
            .await
            .refused(403, "M_FORBIDDEN");
        bob.says(&room, "hello").await;
        alice
            .sends(&room, "org.example.announcement", &json!({}))
            .await
            .ok();
    }
}

#[tokio::test]
async fn any_content_survives_as_it_was() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let content = json!({
        "body": "Zoë 🦀 \u{0} \u{2028} \" \\ /", "": "an empty key", "nested": {"list": [null, true, [], {}, -9_007_199_254_740_991_i64]},
        "max": 9_007_199_254_740_991_i64, "ключ": "значение",
    });
    let id = alice
        .sends(&room, "org.example.any/thing with ☕", &content)
        .await
        .ok()
        .event_id;
    let event = alice.event(&room, &id).await.ok();
    assert_eq!(
        (&event["content"], &event["type"]),
        (&content, &json!("org.example.any/thing with ☕"))
    );
    assert_eq!(
        (&event["sender"], &event["room_id"]),
        (&json!(alice.id), &json!(room.id))
    );
    assert_eq!(
        alice.syncs_until(&room, &id).await.event(&id).all["content"],
        content
    );
}

#[tokio::test]
async fn redaction_is_for_the_sender_and_for_moderators() {
    // Synapse fails at a redaction that is sent like a message before version 11.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    for version in ["10", "11", "12"] {
        let room = alice
            .creates_room()
            .version(version)
            .with([&bob, &carol])
            .await;
        let [one, two] = [bob.says(&room, "one").await, bob.says(&room, "two").await];
        carol.redacts(&room, &one).await.refused(403, "M_FORBIDDEN");
        let by_bob = bob.redacts(&room, &one).await.ok().event_id;
        // Either way of asking.
        let content = json!({"redacts": two, "reason": "off topic"});
        let by_alice = alice
            .sends(&room, "m.room.redaction", &content)
            .await
            .ok()
            .event_id;
        alice
            .sends(&room, "m.room.redaction", &json!({"reason": "of what?"}))
            .await
            .refused(400, "M_MISSING_PARAM");
        for (message, redaction, reason) in
            [(&one, &by_bob, "a test"), (&two, &by_alice, "off topic")]
        {
            let event = carol.event(&room, message).await.ok();
            assert_eq!(event["content"], json!({}), "version {version}");
            let because = &event["unsigned"]["redacted_because"];
            assert_eq!(
                (&because["event_id"], &because["content"]["reason"]),
                (&json!(redaction), &json!(reason))
            );
            // In both places, whatever the version.
            let event = carol.event(&room, redaction).await.ok();
            assert_eq!(
                (&event["redacts"], &event["content"]["redacts"]),
                (&json!(message), &json!(message)),
                "version {version}"
            );
        }
        let after = carol.all_messages(&room, "b", 100).await;
        assert!(
            after
                .iter()
                .all(|event| event["content"].get("body").is_none()),
            "{after:?}"
        );
    }
}

#[tokio::test]
async fn redacted_state_keeps_what_the_room_needs() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let name = alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "secret"}))
        .await
        .ok()
        .event_id;
    alice.redacts(&room, &name).await.ok();
    assert_eq!(bob.state(&room, "m.room.name", "").await.ok(), json!({}));
    let events = bob.get(v3(&["rooms", &room.id, "state"])).await.ok();
    let levels = events
        .as_array()
        .expect("state")
        .iter()
        .find(|e| e["type"] == "m.room.power_levels")
        .expect("levels");
    alice
        .redacts(&room, levels["event_id"].as_str().expect("an ID"))
        .await
        .ok();
    let levels = bob.state(&room, "m.room.power_levels", "").await.ok();
    assert!(
        levels.get("users").is_some() && levels.get("notifications").is_none(),
        "{levels}"
    );
    alice.says(&room, "still in charge").await;
}

#[tokio::test]
async fn paging_goes_through_everything_once_in_both_directions() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut said = Vec::new();
    for number in 0..25 {
        let user = if number % 2 == 0 { &alice } else { &bob };
        said.push(user.says(&room, &number.to_string()).await);
    }
    let forwards = bob.all_messages(&room, "f", 7).await;
    let mut backwards = bob.all_messages(&room, "b", 4).await;
    backwards.reverse();
    assert_eq!(ids(&forwards), ids(&backwards));
    assert_eq!(ids(&forwards)[ids(&forwards).len() - 25..], said);
    assert_eq!(forwards[0]["type"], "m.room.create");

    let first = bob.messages(&room, "b").await.ok();
    assert_eq!(
        first["chunk"].as_array().map(Vec::len),
        Some(10),
        "ten where nothing is said"
    );
    let many = bob
        .messages(&room, "b")
        .query("limit", 1_000_000)
        .await
        .ok();
    assert!(
        many["chunk"]
            .as_array()
            .is_some_and(|chunk| chunk.len() > 25),
        "a large limit is clamped, not refused"
    );
}

#[tokio::test]
async fn a_sync_token_begins_a_page() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    for number in 0..15 {
        alice.says(&room, &format!("old {number}")).await;
    }
    let filter = json!({"room": {"timeline": {"limit": 3}}});
    let sync = alice.syncs().filter(&filter).await;
    let timeline = ids(sync.events(&room, "timeline"));
    let prev_batch = sync.joined(&room).expect("the room")["timeline"]["prev_batch"]
        .as_str()
        .expect("a token")
        .to_owned();
    let page = alice
        .messages(&room, "b")
        .query("from", &prev_batch)
        .query("limit", 100)
        .await
        .ok();
    let older = ids(page["chunk"].as_array().expect("a chunk"));
    let everything = ids(&alice.all_messages(&room, "b", 100).await);
    let together: Vec<_> = timeline.into_iter().rev().chain(older).collect();
    assert_eq!(together, everything, "no gap, nothing twice");

    let next = alice.says(&room, "new").await;
    let page = alice
        .messages(&room, "f")
        .query("from", sync.next_batch())
        .await
        .ok();
    assert_eq!(ids(page["chunk"].as_array().expect("a chunk")), [next]);
    alice
        .messages(&room, "b")
        .query("from", "no token")
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn pages_obey_filters() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mine = alice.says(&room, "mine").await;
    let his = bob.says(&room, "his").await;
    let picture = bob
        .sends(
            &room,
            "m.room.message",
            &json!({"msgtype": "m.image", "body": "p", "url": "mxc://a/b"}),
        )
        .await
        .ok()
        .event_id;
    for (filter, expected) in [
        (
            json!({"types": ["m.room.message"]}),
            vec![&picture, &his, &mine],
        ),
        (
            json!({"types": ["m.room.mess*"], "senders": [bob.id]}),
            vec![&picture, &his],
        ),
        (
            json!({"types": ["m.room.message"], "not_senders": [bob.id]}),
            vec![&mine],
        ),
        (json!({"types": []}), vec![]),
        (json!({"contains_url": true}), vec![&picture]),
        (
            json!({"types": ["m.room.message"], "contains_url": false}),
            vec![&his, &mine],
        ),
        (
            json!({"types": ["m.room.message"], "not_types": ["m.*"]}),
            vec![],
        ),
    ] {
        let page = alice
            .messages(&room, "b")
            .query("filter", &filter)
            .query("limit", 50)
            .await
            .ok();
        let found = ids(page["chunk"].as_array().expect("a chunk"));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
    alice
        .messages(&room, "b")
        .query("filter", "{not json")
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn an_event_is_shown_with_its_context() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let mut said = Vec::new();
    for number in 0..9 {
        said.push(alice.says(&room, &number.to_string()).await);
    }
    let context = |event: &str| alice.get(v3(&["rooms", &room.id, "context", event]));
    let found = context(&said[4]).query("limit", 4).await.ok();
    let around = |key: &str| ids(found[key].as_array().expect("events"));
    assert_eq!(found["event"]["event_id"], said[4]);
    assert_eq!(
        around("events_before"),
        [said[3].clone(), said[2].clone()],
        "newest first"
    );
    assert_eq!(
        around("events_after"),
        [said[5].clone(), said[6].clone()],
        "oldest first"
    );
    assert!(
        found["state"]
            .as_array()
            .is_some_and(|state| state.iter().any(|e| e["type"] == "m.room.create"))
    );
    for (dir, token, expected) in [("b", "start", &said[1]), ("f", "end", &said[7])] {
        let from = found[token].as_str().expect("a token");
        let page = alice
            .messages(&room, dir)
            .query("from", from)
            .query("limit", 1)
            .await
            .ok();
        assert_eq!(
            ids(page["chunk"].as_array().expect("a chunk")),
            [expected.as_str()],
            "{dir}"
        );
    }
    let alone = context(&said[4]).query("limit", 0).await.ok();
    assert_eq!(
        (&alone["events_before"], &alone["events_after"]),
        (&json!([]), &json!([]))
    );
    context("$no-such-event").await.refused(404, "M_NOT_FOUND");
}

/// Behaviour READ-08: the limit counts what the filter lets through.
#[tokio::test]
async fn a_context_looks_further_for_what_the_filter_wants() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    bob.says(&room, "before").await;
    for number in 0..7 {
        alice.says(&room, &format!("noise {number}")).await;
    }
    let middle = alice.says(&room, "middle").await;
    for number in 0..7 {
        alice.says(&room, &format!("noise {number}")).await;
    }
    bob.says(&room, "after").await;
    let filter = json!({"senders": [bob.id], "types": ["m.room.message"]}).to_string();
    let context = alice
        .get(v3(&["rooms", &room.id, "context", &middle]))
        .query("limit", "4")
        .query("filter", &filter)
        .await
        .ok();
    for (side, body) in [("events_before", "before"), ("events_after", "after")] {
        let events = context[side].as_array().expect("a list");
        let bodies: Vec<_> = events
            .iter()
            .map(|event| &event["content"]["body"])
            .collect();
        assert_eq!(bodies, [body], "{side}");
    }
}

#[tokio::test]
async fn a_room_is_closed_to_strangers() {
    let server = TestServer::start().await;
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let message = alice.says(&room, "private").await;
    eve.event(&room, &message).await.refused(404, "M_NOT_FOUND");
    let context = eve.get(v3(&["rooms", &room.id, "context", &message])).await;
    assert!(matches!(context.status, 403 | 404), "{}", context.summary());
    eve.messages(&room, "b").await.refused(403, "M_FORBIDDEN");
    for part in ["state", "members", "joined_members", "aliases"] {
        eve.get(v3(&["rooms", &room.id, part]))
            .await
            .refused(403, "M_FORBIDDEN");
    }
    eve.state(&room, "m.room.create", "")
        .await
        .refused(403, "M_FORBIDDEN");
    // An event of one room is not found by way of another.
    let own = eve.creates_room().await;
    eve.event(&own, &message).await.refused(404, "M_NOT_FOUND");
}

fn ids(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| event["event_id"].as_str().expect("an ID").to_owned())
        .collect()
}
