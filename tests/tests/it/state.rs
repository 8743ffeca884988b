//! Reading and setting the state of a room.

use serde_json::{Value, json};
use tests::{TestServer, path::v3};

#[tokio::test]
async fn state_is_set_and_read_by_type_and_key() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    for key in ["", "a", "with/slash", "ключ ☕", "$.-_~"] {
        let content = json!({"key": key});
        let id = alice
            .sets_state(&room, "org.example.thing", key, &content)
            .await
            .ok()
            .event_id;
        assert_eq!(
            bob.state(&room, "org.example.thing", key).await.ok(),
            content
        );
        let event = bob
            .state(&room, "org.example.thing", key)
            .query("format", "event")
            .await
            .ok();
        assert_eq!(
            (&event["event_id"], &event["state_key"], &event["content"]),
            (&json!(id), &json!(key), &content)
        );
    }
    bob.state(&room, "org.example.thing", "missing")
        .await
        .refused(404, "M_NOT_FOUND");
    // Without the slash of an empty key.
    let path = v3(&["rooms", &room.id, "state", "org.example.thing"]);
    assert_eq!(alice.get(path.clone()).await.ok(), json!({"key": ""}));
    alice
        .put(path.clone(), &json!({"key": "changed"}))
        .await
        .ok();
    let old = path.replace("/v3/", "/r0/");
    assert_eq!(bob.get(old).await.ok(), json!({"key": "changed"}));
}

#[tokio::test]
async fn what_is_so_already_makes_no_event() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let name = json!({"name": "one"});
    let first = alice
        .sets_state(&room, "m.room.name", "", &name)
        .await
        .ok()
        .event_id;
    assert_eq!(
        alice
            .sets_state(&room, "m.room.name", "", &name)
            .await
            .ok()
            .event_id,
        first
    );
    let second = alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "two"}))
        .await
        .ok()
        .event_id;
    assert_ne!(second, first);
    let messages = alice.all_messages(&room, "b", 10).await;
    let sync = alice.syncs().await;
    for event in [&messages[0], sync.event(&room, &second).expect("the name")] {
        assert_eq!(event["unsigned"]["prev_content"], name);
        assert_eq!(event["unsigned"]["replaces_state"], first);
    }
}

#[tokio::test]
async fn all_state_is_there_once() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().option("name", json!("first")).await;
    alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "second"}))
        .await
        .ok();
    let state = alice.get(v3(&["rooms", &room.id, "state"])).await.ok();
    let state = state.as_array().expect("a list");
    let mut keys: Vec<_> = state
        .iter()
        .map(|e| (e["type"].to_string(), e["state_key"].to_string()))
        .collect();
    keys.sort();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all);
    let name = state
        .iter()
        .find(|event| event["type"] == "m.room.name")
        .expect("a name");
    assert_eq!(name["content"]["name"], "second");
}

#[tokio::test]
async fn setting_state_needs_its_level() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for version in ["10", "11", "12"] {
        let room = alice.creates_room().version(version).with([&bob]).await;
        bob.sets_state(&room, "m.room.name", "", &json!({"name": "bob's"}))
            .await
            .refused(403, "M_FORBIDDEN");
        let mut levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        levels["users"][&bob.id] = json!(50);
        alice
            .sets_state(&room, "m.room.power_levels", "", &levels)
            .await
            .ok();
        bob.sets_state(&room, "m.room.name", "", &json!({"name": "bob's"}))
            .await
            .ok();
        // Not higher than oneself, and nobody who is as high.
        levels["users"][&bob.id] = json!(100);
        bob.sets_state(&room, "m.room.power_levels", "", &levels)
            .await
            .refused(403, "M_FORBIDDEN");
        // A state key that is a user's belongs to that user.
        bob.sets_state(&room, "org.example.of", &alice.id, &json!({}))
            .await
            .refused(403, "M_FORBIDDEN");
        bob.sets_state(&room, "org.example.of", &bob.id, &json!({}))
            .await
            .ok();
    }
}

#[tokio::test]
async fn power_levels_must_make_sense() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for version in ["10", "11", "12"] {
        let room = alice.creates_room().version(version).await;
        let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        for (key, value) in [
            ("ban", json!("50")),
            ("users", json!({"not a user": 1})),
            ("users", json!([])),
            ("events", json!({"a": "1"})),
        ] {
            let mut wrong = levels.clone();
            wrong[key] = value;
            let answer = alice
                .sets_state(&room, "m.room.power_levels", "", &wrong)
                .await;
            answer.refused_by_us(400, "M_BAD_JSON");
        }
        if version == "12" {
            let mut named = levels.clone();
            named["users"][&alice.id] = json!(100);
            let answer = alice
                .sets_state(&room, "m.room.power_levels", "", &named)
                .await;
            answer.refused(400, "M_BAD_JSON");
        }
        assert_eq!(
            alice.state(&room, "m.room.power_levels", "").await.ok(),
            levels,
            "nothing has changed"
        );
    }
    // RV-10: old versions read text as a number, but nobody is to send it any more.
    for version in ["1", "6", "9"] {
        let room = alice.creates_room().version(version).await;
        let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        for (key, value) in [
            ("ban", json!("50")),
            ("users", json!({alice.id.clone(): "100"})),
            ("events", json!({"a": " 1"})),
        ] {
            let mut wrong = levels.clone();
            wrong[key] = value;
            let answer = alice
                .sets_state(&room, "m.room.power_levels", "", &wrong)
                .await;
            answer.refused_by_us(400, "M_BAD_JSON");
        }
    }
}

#[tokio::test]
async fn a_room_is_created_only_once() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for version in ["10", "11", "12"] {
        let room = alice.creates_room().version(version).await;
        let answer = alice
            .sets_state(
                &room,
                "m.room.create",
                "",
                &json!({"room_version": version}),
            )
            .await;
        assert!(matches!(answer.status, 400 | 403), "{}", answer.summary());
    }
}

#[tokio::test]
async fn who_has_left_sees_the_state_of_then() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice
        .creates_room()
        .option("name", json!("before"))
        .with([&bob])
        .await;
    bob.leaves(&room).await.ok();
    alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "after"}))
        .await
        .ok();
    assert_eq!(
        bob.state(&room, "m.room.name", "").await.ok()["name"],
        "before"
    );
    let state = bob.get(v3(&["rooms", &room.id, "state"])).await.ok();
    let name = state
        .as_array()
        .expect("a list")
        .iter()
        .find(|e| e["type"] == "m.room.name")
        .expect("a name")
        .clone();
    assert_eq!(name["content"]["name"], "before");
}

/// Behaviour MOD-02, practice.
#[tokio::test]
async fn no_access_list_shuts_out_its_own_server() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let set = |content: Value| alice.sets_state(&room, "m.room.server_acl", "", &content);
    for content in [
        json!({"allow": ["elsewhere.example"]}),
        json!({"allow": ["*"], "deny": [alice.server_name()]}),
        json!({}),
    ] {
        set(content).await.refused_by_us(400, "M_UNKNOWN");
    }
    let lists = json!({"allow": ["*"], "deny": ["elsewhere.example"]});
    set(lists).await.ok();
}
