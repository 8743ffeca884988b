//! Rooms that are replaced by others.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, path::v3};

async fn upgraded(user: &User, room: &Room, version: &str) -> Room {
    let answer = user
        .in_room(room, "upgrade", &json!({"new_version": version}))
        .await
        .ok();
    Room {
        id: answer["replacement_room"]
            .as_str()
            .expect("a room")
            .to_owned(),
    }
}

#[tokio::test]
async fn people_follow_a_tombstone_into_the_new_room() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let alias = server.fresh_name("lounge");
    for (from, to) in [("10", "11"), ("11", "12"), ("12", "12")] {
        let local = format!("{alias}{from}");
        let room = alice
            .creates_room()
            .version(from)
            .option("name", json!("Lounge"))
            .option("preset", json!("public_chat"))
            .option("room_alias_name", json!(local))
            .await;
        bob.joins(&room).await.ok();
        let tag = v3(&["user", &bob.id, "rooms", &room.id, "tags", "m.favourite"]);
        bob.put(tag, &json!({"order": 0.25})).await.ok();
        let since = bob.syncs().await.next_batch();

        let new = upgraded(&alice, &room, to).await;
        let tombstone = |sync: &tests::sync::Sync| {
            let events = sync.0["rooms"]["join"][&room.id]["timeline"]["events"]
                .as_array()?
                .clone();
            events
                .into_iter()
                .find(|event| event["type"] == "m.room.tombstone")
        };
        let (tombstone, since) = bob.syncs_when(&since, tombstone).await;
        assert_eq!(tombstone["content"]["replacement_room"], new.id);
        bob.joins(&new).await.ok();
        let tags = |sync: &tests::sync::Sync| {
            let data = sync.0["rooms"]["join"][&new.id]["account_data"]["events"]
                .as_array()?
                .clone();
            data.into_iter().find(|event| event["type"] == "m.tag")
        };
        let (tags, _) = bob.syncs_when(&since, tags).await;
        assert_eq!(tags["content"]["tags"]["m.favourite"]["order"], 0.25);
        let create = bob.state(&new, "m.room.create", "").await.ok();
        assert_eq!(create["predecessor"]["room_id"], room.id);
        assert_eq!(create["room_version"], to);
        assert_eq!(
            bob.state(&new, "m.room.name", "").await.ok()["name"],
            "Lounge"
        );
        let full = format!("#{local}:{}", alice.server_name());
        let found = bob.get(v3(&["directory", "room", &full])).await.ok();
        assert_eq!(found["room_id"], new.id);
        let said = json!({"msgtype": "m.text", "body": "anybody here?"});
        bob.sends(&room, "m.room.message", &said)
            .await
            .refused(403, "M_FORBIDDEN");
        bob.says(&new, "here").await;
    }
}

#[tokio::test]
async fn an_upgrade_to_version_twelve_makes_whom_it_names_creators() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().version("11").with([&bob]).await;
    let levels =
        json!({"users": {alice.id.clone(): 100, bob.id.clone(): 100, "@eve:else.where": 20}});
    alice
        .sets_state(&room, "m.room.power_levels", "", &levels)
        .await
        .ok();
    let wish = json!({"new_version": "12", "additional_creators": [bob.id]});
    let answer = alice.in_room(&room, "upgrade", &wish).await.ok();
    let new = Room {
        id: answer["replacement_room"]
            .as_str()
            .expect("a room")
            .to_owned(),
    };
    let create = alice.state(&new, "m.room.create", "").await.ok();
    assert_eq!(create["additional_creators"], json!([bob.id]));
    let levels = alice.state(&new, "m.room.power_levels", "").await.ok();
    assert_eq!(levels["users"], json!({"@eve:else.where": 20}));
    assert_eq!(levels["events"]["m.room.tombstone"], 150);
}

#[tokio::test]
async fn an_upgrade_that_cannot_be_changes_nothing() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let wish = json!({"new_version": "11"});
    for person in [&bob, &eve] {
        person
            .in_room(&room, "upgrade", &wish)
            .await
            .refused(403, "M_FORBIDDEN");
    }
    let unknown = json!({"new_version": "no-such-version"});
    alice
        .in_room(&room, "upgrade", &unknown)
        .await
        .refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    for body in [
        json!({}),
        json!({"new_version": 11}),
        json!({"new_version": "11", "additional_creators": "bob"}),
    ] {
        alice
            .in_room(&room, "upgrade", &body)
            .await
            .refused_by_us(400, "M_BAD_JSON");
    }
    let nowhere = Room {
        id: "!nowhere:localhost".to_owned(),
    };
    alice
        .in_room(&nowhere, "upgrade", &wish)
        .await
        .refused(404, "M_NOT_FOUND");
    let itself = json!({"body": "gone", "replacement_room": room.id});
    alice
        .sets_state(&room, "m.room.tombstone", "", &itself)
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
    alice
        .state(&room, "m.room.tombstone", "")
        .await
        .refused(404, "M_NOT_FOUND");
    let rooms = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(
        rooms["joined_rooms"].as_array().map(Vec::len),
        Some(1),
        "half a room is left: {rooms}"
    );
}

/// Whoever asks again, because the answer was lost, is told of the same room.
#[tokio::test]
async fn a_repeated_upgrade_gets_the_same_room() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let [first, second] = [
        upgraded(&alice, &room, "11").await,
        upgraded(&alice, &room, "11").await,
    ];
    assert_eq!(first.id, second.id);
    let tombstone: Value = alice.state(&room, "m.room.tombstone", "").await.ok();
    assert_eq!(tombstone["replacement_room"], first.id);
}
