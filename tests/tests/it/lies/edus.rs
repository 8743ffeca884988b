//! Ephemeral news of people and rooms that are none of the sender's business. TYPE-03, RCPT-07.

use serde_json::{Value, json};
use tests::{Room, path::v3, peer::now_ms};

use super::Scene;

fn typing(room: &Room, user: &str) -> Value {
    json!({"edu_type": "m.typing", "content": {"room_id": room.id, "user_id": user, "typing": true}})
}

fn receipt(room: &Room, user: &str, event: &str) -> Value {
    let read = json!({"event_ids": [event], "data": {"ts": now_ms()}});
    json!({"edu_type": "m.receipt", "content": {&room.id: {"m.read": {user: read}}}})
}

#[tokio::test]
async fn a_server_speaks_for_its_own_users_in_its_own_rooms() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let bob = server.user("bob").await;
    bob.joins(room).await.ok();
    // Who has a name that none should have is a member, and named nowhere else.
    let odd = peer.user("cärol");
    peer.joins(server, room, &odd).await;
    let private = alice.creates_room().await;
    let secret = alice.says(&private, "secret").await;
    let said = alice.says(room, "hello").await;
    let start = alice.syncs().await.next_batch();
    let lies = json!([
        typing(room, &bob.id), typing(room, "@eve:elsewhere.example"), typing(room, &peer.user("nobody")), typing(room, &odd),
        typing(&private, carol), typing(room, "text"),
        typing(&Room { id: "!none:elsewhere.example".to_owned() }, carol), typing(&Room { id: "text".to_owned() }, carol),
        receipt(room, &bob.id, &said), receipt(room, "@eve:elsewhere.example", &said), receipt(&private, carol, &secret),
        receipt(room, &odd, &said), receipt(room, carol, "text"), receipt(room, "text", &said),
        {"edu_type": "m.receipt", "content": {&room.id: {"m.read": {carol: {"event_ids": [], "data": 1}}}}},
        {"edu_type": "m.receipt", "content": {&room.id: {"m.read.private": {carol: {"event_ids": [said], "data": {}}}}}},
        {"edu_type": "m.receipt", "content": {&room.id: []}},
    ]);
    peer.tells(server, &lies).await.ok();
    peer.tells(
        server,
        &json!([typing(room, carol), receipt(room, carol, &said)]),
    )
    .await
    .ok();

    // The news are taken in order: what is not there with the honest ones never will be.
    let mut told = Vec::new();
    alice
        .syncs_when(&start, |sync| {
            told.extend_from_slice(sync.events(&private, "ephemeral"));
            told.extend_from_slice(sync.events(room, "ephemeral"));
            let typing = sync.of_room(room, "ephemeral", "m.typing").is_some();
            let receipts = told.iter().any(|event| event["type"] == "m.receipt");
            (receipts && (typing || told.iter().any(|event| event["type"] == "m.typing")))
                .then_some(())
        })
        .await;
    for event in &told {
        let content = &event["content"];
        if event["type"] == "m.typing" {
            assert!(
                [json!([]), json!([carol])].contains(&content["user_ids"]),
                "{event}"
            );
        } else {
            let readers = content[&said]["m.read"]
                .as_object()
                .expect("receipts of one event");
            assert!(readers.keys().all(|user| user == carol), "{event}");
            assert_eq!(
                content.as_object().map(serde_json::Map::len),
                Some(1),
                "{event}"
            );
        }
    }
    for (term, found) in [(carol, 1), (&odd, 0)] {
        let search = v3(&["user_directory", "search"]);
        let answer = alice.post(search, &json!({"search_term": term})).await.ok();
        let results = answer["results"].as_array().map(Vec::len);
        assert_eq!(results, Some(found), "{answer}");
    }
    scene.goes_on().await;
}
