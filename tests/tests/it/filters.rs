//! Kept filters, and what filters do to a sync.

use serde_json::{Value, json};
use tests::{TestServer, path::v3};

#[tokio::test]
async fn a_filter_is_kept_for_its_owner() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let filter = json!({"room": {"timeline": {"limit": 2, "types": ["m.room.message"]}}, "event_format": "client"});
    let path = v3(&["user", &alice.id, "filter"]);
    let id = alice.post(path.clone(), &filter).await.ok()["filter_id"]
        .as_str()
        .expect("an ID")
        .to_owned();
    let kept = v3(&["user", &alice.id, "filter", &id]);
    assert_eq!(alice.get(kept.clone()).await.ok(), filter);
    let answer = bob.get(kept).await;
    assert!(matches!(answer.status, 403 | 404), "{}", answer.summary());
    bob.post(path, &filter).await.refused(403, "M_FORBIDDEN");
    let none = v3(&["user", &alice.id, "filter", "987654321"]);
    alice.get(none).await.refused(404, "M_NOT_FOUND");

    let room = alice.creates_room().await;
    for number in 0..5 {
        alice.says(&room, &number.to_string()).await;
    }
    let sync = alice.syncs().query("filter", &id).await;
    let timeline = sync.events(&room, "timeline");
    assert_eq!(
        timeline
            .iter()
            .map(|e| e["content"]["body"].as_str())
            .collect::<Vec<_>>(),
        [Some("3"), Some("4")]
    );
    assert_eq!(
        sync.joined(&room).expect("the room")["timeline"]["limited"],
        true
    );
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_refused() {
    // Synapse takes some of these, and fails at others.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let path = v3(&["user", &alice.id, "filter"]);
    for wrong in [
        json!({"room": "all"}),
        json!({"room": {"timeline": []}}),
        json!({"room": {"timeline": {"types": "m.room.message"}}}),
        json!({"room": {"timeline": {"types": [1]}}}),
        json!({"room": {"rooms": ["no room"]}}),
        json!({"presence": {"senders": ["no user"]}}),
        json!({"room": {"timeline": {"limit": "many"}}}),
        json!({"room": {"state": {"lazy_load_members": "yes"}}}),
        json!({"event_format": "xml"}),
        json!([]),
    ] {
        let answer = alice.post(path.clone(), &wrong).await;
        assert!(
            answer.status == 400 || !server.is_own(),
            "{wrong}: {}",
            answer.summary()
        );
        // A sync takes a format that it does not know for the usual one.
        if wrong.is_object() && wrong.get("event_format").is_none() {
            let answer = alice.syncs().filter(&wrong).call().await;
            assert_eq!(answer.status, 400, "{wrong} inline: {}", answer.summary());
        }
    }
    alice
        .syncs()
        .query("filter", "{no json")
        .call()
        .await
        .refused(400, "M_NOT_JSON");
    let answer = alice.syncs().query("filter", "123456789").call().await;
    assert!(matches!(answer.status, 400 | 404), "{}", answer.summary());
}

#[tokio::test]
async fn rooms_types_and_senders_are_filtered() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let [room, other] = [
        alice.creates_room().with([&bob]).await,
        alice.creates_room().await,
    ];
    let mine = alice.says(&room, "mine").await;
    let his = bob.says(&room, "his").await;
    let timeline = async |timeline: Value| {
        let sync = alice
            .syncs()
            .filter(&json!({"room": {"timeline": timeline}}))
            .await;
        sync.events(&room, "timeline")
            .iter()
            .map(|event| event["event_id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        timeline(json!({"types": ["m.room.message"]})).await,
        [json!(mine), json!(his)]
    );
    assert_eq!(
        timeline(json!({"types": ["m.room.mess*"], "senders": [bob.id]})).await,
        [json!(his)]
    );
    assert_eq!(
        timeline(json!({"types": ["m.room.message"], "not_senders": [bob.id]})).await,
        [json!(mine)]
    );
    assert!(timeline(json!({"types": []})).await.is_empty());
    assert!(timeline(json!({"limit": 0})).await.is_empty() || !server.is_own());

    for filter in [
        json!({"rooms": [room.id]}),
        json!({"not_rooms": [other.id]}),
    ] {
        let sync = alice.syncs().filter(&json!({"room": filter})).await;
        assert!(
            sync.joined(&room).is_some() && sync.joined(&other).is_none(),
            "{filter}"
        );
    }
    let sync = alice.syncs().filter(&json!({"room": {"rooms": []}})).await;
    assert!(sync.joined(&room).is_none(), "an empty list is nothing");
}

#[tokio::test]
async fn lazy_loading_sends_the_members_who_speak() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let room = alice
        .creates_room()
        .public()
        .option("name", json!("named"))
        .with([&bob, &carol])
        .await;
    let last = bob.says(&room, "I speak").await;
    let filter = json!({"room": {"timeline": {"limit": 1}, "state": {"lazy_load_members": true}}});
    let sync = alice.syncs().filter(&filter).await;
    assert!(sync.event(&room, &last).is_some());
    let members = |sync: &tests::sync::Sync| {
        let state = sync
            .events(&room, "state")
            .iter()
            .filter(|event| event["type"] == "m.room.member");
        state
            .map(|event| event["state_key"].clone())
            .collect::<Vec<_>>()
    };
    let found = members(&sync);
    assert!(
        found.contains(&json!(bob.id)) && found.contains(&json!(alice.id)),
        "{found:?}"
    );
    assert!(!found.contains(&json!(carol.id)), "{found:?}");

    let next = carol.says(&room, "me too").await;
    let sync = alice
        .syncs()
        .filter(&filter)
        .since(&sync.next_batch())
        .await;
    assert!(sync.event(&room, &next).is_some());
    assert_eq!(
        members(&sync),
        [json!(carol.id)],
        "and bob is known already"
    );
}

/// Behaviour FILT-03: what others have said of an event, and what it says of others.
#[tokio::test]
async fn a_timeline_is_filtered_by_relations() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let root = alice.says(&room, "root").await;
    alice.says(&room, "alone").await;
    let reply = json!({
        "body": "reply", "msgtype": "m.text",
        "m.relates_to": {"rel_type": "m.thread", "event_id": root},
    });
    let path = v3(&["rooms", &room.id, "send", "m.room.message", "relation1"]);
    bob.put(path, &reply).await.ok();
    let path = v3(&["user", &alice.id, "filter"]);
    for (wanted, expected) in [
        (json!({"related_by_rel_types": ["m.thread"]}), vec!["root"]),
        (json!({"related_by_senders": [bob.id]}), vec!["root"]),
        (json!({"related_by_senders": [alice.id]}), vec![]),
    ] {
        let mut timeline = wanted.clone();
        timeline["types"] = json!(["m.room.message"]);
        let filter = json!({"room": {"timeline": timeline}});
        let kept = alice.post(path.clone(), &filter).await.ok();
        let id = kept["filter_id"].as_str().expect("an ID").to_owned();
        for filter in [id, filter.to_string()] {
            let sync = alice.syncs().query("filter", &filter).await;
            let bodies: Vec<&str> = sync
                .events(&room, "timeline")
                .iter()
                .filter_map(|event| event["content"]["body"].as_str())
                .collect();
            assert_eq!(bodies, expected, "{filter}");
        }
    }
}

#[tokio::test]
async fn left_rooms_are_included_on_request() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    bob.leaves(&room).await.ok();
    assert!(bob.syncs().await.left(&room).is_none());
    let filter = json!({"room": {"include_leave": true}});
    assert!(bob.syncs().filter(&filter).await.left(&room).is_some());
}

#[tokio::test]
async fn event_fields_are_trimmed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    alice
        .sends(
            &room,
            "org.example",
            &json!({"a": {"b": 1, "c": 2}, "d": 3}),
        )
        .await
        .ok();
    // Only what the schema of an event requires, and one field deep in the content.
    let fields = [
        "type",
        "event_id",
        "sender",
        "origin_server_ts",
        "content.a.b",
    ];
    let filter = json!({"event_fields": fields, "room": {"timeline": {"types": ["org.example"]}, "state": {"types": []}}});
    let sync = alice.syncs().filter(&filter).await;
    let event = &sync.events(&room, "timeline")[0];
    assert_eq!(event["content"], json!({"a": {"b": 1}}));
    assert!(event.get("unsigned").is_none(), "{event}");
}
