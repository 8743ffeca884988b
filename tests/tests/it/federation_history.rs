//! Two servers: what was said before somebody of the second came.

use serde_json::{Value, json};
use tests::{Room, User, federation::Neighbourhood, path::v3};

fn ids(events: &[Value]) -> Vec<&str> {
    let ids = events.iter().map(|event| event["event_id"].as_str());
    ids.map(Option::unwrap_or_default).collect()
}

async fn near(user: &User, room: &Room, ts: u64, dir: &str) -> Value {
    let path = format!("/_matrix/client/v1/rooms/{}/timestamp_to_event", room.id);
    let near = user.get(path).query("ts", ts.to_string());
    near.query("dir", dir).await.ok()
}

#[tokio::test]
async fn a_newcomer_of_another_server_reads_back_to_the_beginning() {
    let neighbourhood = Neighbourhood::new();
    let Some(here) = neighbourhood.server().await else {
        return;
    };
    let Some(there) = neighbourhood.server().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().await;
    let mut said = Vec::new();
    for n in 0..300 {
        said.push(alice.says(&room, &n.to_string()).await);
    }
    bob.joins_via(&room, alice.server_name()).await.ok();

    let middle = alice.event(&room, &said[150]).await.ok();
    let ts = middle["origin_server_ts"].as_u64().expect("a time");
    let found = near(&bob, &room, ts, "f").await;
    assert!(said.contains(&found["event_id"].as_str().unwrap_or_default().to_owned()));
    assert_eq!(found["origin_server_ts"], json!(ts));
    let path = v3(&[
        "rooms",
        &room.id,
        "context",
        found["event_id"].as_str().unwrap_or_default(),
    ]);
    bob.get(path).await.ok();

    let whole = alice.all_messages(&room, "b", 100).await;
    let mut back = bob.all_messages(&room, "b", 70).await;
    assert_eq!(ids(&back), ids(&whole));
    back.reverse();
    let forth = bob.all_messages(&room, "f", 70).await;
    assert_eq!(ids(&forth), ids(&back), "over the seam");
}

#[tokio::test]
async fn what_was_said_among_members_only_stays_hidden_from_a_server_that_came_later() {
    let neighbourhood = Neighbourhood::new();
    let Some(here) = neighbourhood.server().await else {
        return;
    };
    let Some(there) = neighbourhood.server().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().visibility("joined").await;
    for n in 0..30 {
        alice.says(&room, &n.to_string()).await;
    }
    bob.joins_via(&room, alice.server_name()).await.ok();
    let back = bob.all_messages(&room, "b", 20).await;
    let messages = back
        .iter()
        .filter(|event| event["type"] == "m.room.message");
    assert_eq!(messages.count(), 0, "{back:?}");
}
