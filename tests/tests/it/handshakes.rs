//! Knocks and restricted rooms, within a server and between two.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, federation::Neighbourhood, path::v3};

/// Two servers that can reach each other.
async fn two() -> Option<(Neighbourhood, TestServer, TestServer)> {
    let neighbourhood = Neighbourhood::new();
    let (here, there) = (neighbourhood.server().await?, neighbourhood.server().await?);
    Some((neighbourhood, here, there))
}

async fn room_with(creator: &User, version: &str, rule: Value) -> Room {
    let rule = json!({"type": "m.room.join_rules", "state_key": "", "content": rule});
    let room = creator.creates_room().version(version);
    room.option("initial_state", json!([rule])).await
}

fn knocks(user: &User, room: &Room, reason: &str) -> tests::Call {
    user.post(v3(&["knock", &room.id]), &json!({"reason": reason}))
}

fn joins(user: &User, room: &Room) -> tests::Call {
    user.post(v3(&["join", &room.id]), &json!({}))
}

async fn membership(seen_by: &User, room: &Room, of: &User) -> Value {
    let state = seen_by.state(room, "m.room.member", &of.id).await.ok();
    state["membership"].clone()
}

#[tokio::test]
async fn a_knock_is_seen_answered_and_taken_back() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = room_with(&alice, "10", json!({"join_rule": "knock"})).await;
    let start = bob.syncs().await.next_batch();
    knocks(&bob, &room, "please").await.ok();
    let (knocked, next) = bob
        .syncs_when(&start, |seen| seen.knocked(&room).cloned())
        .await;
    let state = knocked["knock_state"]["events"].as_array().expect("state");
    let has_create = state.iter().any(|event| event["type"] == "m.room.create");
    assert!(has_create, "{knocked}");
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("knock"), &json!("please"))
    );

    bob.leaves(&room).await.ok();
    bob.syncs_when(&next, |seen| seen.left(&room).cloned())
        .await;
    knocks(&bob, &room, "once more").await.ok();
    alice.kicks(&room, &bob).await.ok();
    knocks(&bob, &room, "and again").await.ok();
    alice.invites(&room, &bob).await.ok();
    knocks(&bob, &room, "no need")
        .await
        .refused(403, "M_FORBIDDEN");
    bob.joins(&room).await.ok();
    knocks(&bob, &room, "no need")
        .await
        .refused(403, "M_FORBIDDEN");
    alice.bans(&room, &bob).await.ok();
    knocks(&bob, &room, "sorry")
        .await
        .refused(403, "M_FORBIDDEN");
    let closed = alice.creates_room().await;
    knocks(&bob, &closed, "please")
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn members_of_a_room_join_another_that_lets_them_in() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let lobby = alice.creates_room().public().await;
    bob.joins(&lobby).await.ok();
    let allow = json!([{"type": "m.room_membership", "room_id": lobby.id}]);
    let rule = json!({"join_rule": "restricted", "allow": allow});
    let room = room_with(&alice, "10", rule).await;
    joins(&eve, &room).await.refused(403, "M_FORBIDDEN");
    joins(&bob, &room).await.ok();
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["join_authorised_via_users_server"], json!(alice.id));
    // Conditions that are none let in nobody but those who are invited.
    for allow in [
        json!("everybody"),
        json!([1, "x", {}, {"type": "org.example"}]),
    ] {
        let rule = json!({"join_rule": "restricted", "allow": allow});
        let room = room_with(&alice, "10", rule).await;
        joins(&bob, &room).await.refused(403, "M_FORBIDDEN");
        alice.invites(&room, &bob).await.ok();
        joins(&bob, &room).await.ok();
    }
}

#[tokio::test]
async fn a_knock_and_a_restricted_join_cross_over() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let name = alice.server_name();
    let lobby = alice.creates_room().public().await;
    let allow = json!([{"type": "m.room_membership", "room_id": lobby.id}]);
    let rule = json!({"join_rule": "knock_restricted", "allow": allow});
    for version in ["10", "11", "12"] {
        let room = room_with(&alice, version, rule.clone()).await;
        joins(&bob, &room)
            .query("via", name)
            .await
            .refused(403, "M_FORBIDDEN");
        knocks(&bob, &room, "please").query("via", name).await.ok();
        assert_eq!(
            membership(&alice, &room, &bob).await,
            "knock",
            "in {version}"
        );
        bob.leaves(&room).await.ok();
        assert_eq!(
            membership(&alice, &room, &bob).await,
            "leave",
            "in {version}"
        );
    }
    let room = room_with(&alice, "12", rule).await;
    joins(&bob, &lobby).query("via", name).await.ok();
    joins(&bob, &room).query("via", name).await.ok();
    assert_eq!(membership(&bob, &room, &alice).await, "join");
    let closed = alice.creates_room().await;
    let refused = knocks(&bob, &closed, "please").query("via", name).await;
    refused.refused(403, "M_FORBIDDEN");
}
