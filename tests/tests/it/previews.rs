//! All of a room at once: for old clients, and for those who look into a room that anybody may read.

use serde_json::{Value, json};
use tests::{Room, TestServer, path::v3};

fn path(room: &Room) -> String {
    v3(&["rooms", &room.id, "initialSync"])
}

fn bodies(snapshot: &Value) -> Vec<&Value> {
    let chunk = snapshot["messages"]["chunk"]
        .as_array()
        .expect("events")
        .iter();
    chunk.map(|event| &event["content"]["body"]).collect()
}

#[tokio::test]
async fn a_room_is_shown_with_its_last_messages() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    for n in 0..5 {
        alice.says(&room, &format!("{n}")).await;
    }
    let data = v3(&[
        "user",
        &alice.id,
        "rooms",
        &room.id,
        "account_data",
        "org.example.data",
    ]);
    alice.put(data, &json!({"a": 1})).await.ok();
    let seen = alice.get(path(&room)).query("limit", 2).await.ok();
    assert_eq!(bodies(&seen), [&json!("3"), &json!("4")]);
    assert_eq!(
        (&seen["membership"], &seen["visibility"]),
        (&json!("join"), &json!("private"))
    );
    assert_eq!(
        seen["account_data"],
        json!([{"type": "org.example.data", "content": {"a": 1}}])
    );
    let create = seen["state"].as_array().expect("events").iter();
    assert_eq!(
        create
            .filter(|event| event["type"] == "m.room.create")
            .count(),
        1
    );
    let older = alice
        .messages(&room, "b")
        .query("from", seen["messages"]["start"].as_str().expect("a token"));
    assert_eq!(older.await.ok()["chunk"][0]["content"]["body"], "2");

    bob.leaves(&room).await.ok();
    alice.says(&room, "without bob").await;
    let seen = bob.get(path(&room)).await.ok();
    assert_eq!(seen["membership"], "leave");
    assert!(!bodies(&seen).contains(&&json!("without bob")));
    let none = alice.get(path(&room)).query("limit", 0).await.ok();
    assert_eq!(none["messages"]["chunk"], json!([]));
    eve.get(path(&room)).await.refused(403, "M_FORBIDDEN");
    let nowhere = Room {
        id: "!nowhere:localhost".to_owned(),
    };
    alice.get(path(&nowhere)).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn anybody_looks_into_a_room_that_all_may_read() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().visibility("world_readable").await;
    alice.says(&room, "for all").await;
    let seen = eve.get(path(&room)).await.ok();
    assert!(bodies(&seen).contains(&&json!("for all")), "{seen}");
    assert_eq!(seen.get("membership"), None);
}

/// UNST-08 (MSC3757): in rooms of these versions people have state of their own with more than one key.
#[tokio::test]
async fn people_set_the_state_that_begins_with_their_id() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let levels = json!({"events": {"org.example.call": 0}});
    let content = json!({"a": 1});
    for version in ["org.matrix.msc3757.10", "org.matrix.msc3757.11"] {
        let room = alice
            .creates_room()
            .version(version)
            .option("power_level_content_override", levels.clone())
            .with([&bob])
            .await;
        let sets =
            |who: &tests::User, key: &str| who.sets_state(&room, "org.example.call", key, &content);
        sets(&bob, &bob.id).await.ok();
        sets(&bob, &format!("{}_phone", bob.id)).await.ok();
        sets(&bob, &format!("{}_phone", alice.id))
            .await
            .refused(403, "M_FORBIDDEN");
        sets(&bob, &alice.id).await.refused(403, "M_FORBIDDEN");
        // Whoever stands above may set it for others.
        sets(&alice, &format!("{}_phone", bob.id)).await.ok();
        for key in ["@", "@bob", "@_x:", "@bob_phone"] {
            sets(&bob, key).await.refused(400, "M_BAD_JSON");
        }
    }
    let room = alice
        .creates_room()
        .option("power_level_content_override", levels)
        .with([&bob])
        .await;
    let own = format!("{}_phone", bob.id);
    bob.sets_state(&room, "org.example.call", &own, &content)
        .await
        .refused(403, "M_FORBIDDEN");
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    let versions = &capabilities["capabilities"]["m.room_versions"]["available"];
    assert_eq!(versions["org.matrix.msc3757.11"], "unstable");
}
