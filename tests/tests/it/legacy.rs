//! What clients of before `/sync` ask for, and looking into rooms.

use serde_json::{Value, json};
use tests::{TestServer, path::v3};

fn bodies(events: &Value) -> Vec<&str> {
    let events = events.as_array().expect("a list").iter();
    events
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn all_rooms_come_with_their_last_messages() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    for number in 0..3 {
        alice.says(&room, &number.to_string()).await;
    }
    let invited = bob.creates_room().await;
    bob.invites(&invited, &alice).await.ok();
    let initial = alice.get(v3(&["initialSync"])).query("limit", 2).await.ok();
    let find = |id: &str| {
        let rooms = initial["rooms"].as_array().expect("a list");
        rooms
            .iter()
            .find(|room| room["room_id"] == id)
            .expect("the room")
    };
    let joined = find(&room.id);
    assert_eq!(joined["membership"], "join");
    assert_eq!(bodies(&joined["messages"]["chunk"]), ["1", "2"]);
    let state = joined["state"].as_array().expect("a list");
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
    let invite = find(&invited.id);
    assert_eq!(
        (&invite["membership"], &invite["inviter"]),
        (&json!("invite"), &json!(bob.id))
    );
    let none = alice.get(v3(&["initialSync"])).query("limit", 0).await.ok();
    let without = none["rooms"].as_array().expect("a list").iter();
    assert!(without.clone().all(|room| {
        room["messages"]["chunk"]
            .as_array()
            .is_none_or(Vec::is_empty)
    }));

    let end = initial["end"].as_str().expect("a token");
    let waiting = alice
        .get(v3(&["events"]))
        .query("from", end)
        .query("timeout", 30_000);
    let (stream, _) = tokio::join!(waiting, alice.says(&room, "news"));
    let stream = stream.ok();
    assert_eq!(bodies(&stream["chunk"]), ["news"]);
    let news = &stream["chunk"].as_array().expect("a list")[0];
    assert_eq!(news["room_id"], json!(room.id));
    let event_id = news["event_id"].as_str().expect("an ID");
    let event = alice.get(v3(&["events", event_id])).await.ok();
    assert_eq!(event["content"]["body"], "news");

    bob.get(v3(&["events", event_id]))
        .await
        .refused(404, "M_NOT_FOUND");
    bob.get(v3(&["events", "$nothing"]))
        .await
        .refused(404, "M_NOT_FOUND");
    let from = alice.get(v3(&["events"])).query("from", "garbage");
    from.await.refused_by_us(400, "M_INVALID_PARAM");
}

/// Behaviour MISC-02.
#[tokio::test]
async fn anyone_looks_into_a_room_that_the_world_may_read() {
    let server = TestServer::start().await;
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().visibility("world_readable").await;
    let closed = alice.creates_room().await;
    let snapshot = eve.get(v3(&["rooms", &room.id, "initialSync"])).await.ok();
    let from = snapshot["messages"]["end"].as_str().expect("a token");
    let look = |from: &str| {
        let call = eve.get(v3(&["events"])).query("from", from);
        call.query("room_id", &room.id).query("timeout", 30_000)
    };
    let (seen, _) = tokio::join!(look(from), alice.says(&room, "hello"));
    let seen = seen.ok();
    assert_eq!(bodies(&seen["chunk"]), ["hello"]);
    // An answer with nothing in it comes only when the time is over.
    let end = seen["end"].as_str().expect("a token");
    let nothing = eve.get(v3(&["events"])).query("from", end);
    let nothing = nothing
        .query("room_id", &room.id)
        .query("timeout", 0)
        .await
        .ok();
    assert_eq!(nothing["chunk"], json!([]));
    let (seen, _) = tokio::join!(look(end), alice.says(&room, "again"));
    assert_eq!(bodies(&seen.ok()["chunk"]), ["again"]);

    let refused = eve.get(v3(&["events"])).query("room_id", &closed.id);
    refused
        .query("timeout", 0)
        .await
        .refused(403, "M_FORBIDDEN");
}
