//! Ways into a room that need another's consent: knocking, and rooms for members of other rooms.

use serde_json::json;
use tests::{Room, path::v3};

use crate::{
    person::Person,
    world::{World, agree},
};

#[tokio::test]
async fn a_knock_is_answered() {
    let Some(world) = World::new().await else {
        return;
    };
    for version in ["7", "10", "12"] {
        let (ours, theirs) = tokio::join!(world.couple(), world.couple());
        tokio::join!(
            knocks(ours.0, ours.1, version),
            knocks(theirs.1, theirs.0, version)
        );
    }
}

/// Only by a user of ours: Synapse does not tell other servers of it.
#[tokio::test]
async fn a_knock_is_taken_back() {
    let Some(world) = World::new().await else {
        return;
    };
    let (guest, mut host) = world.couple().await;
    let room = room_with(&host, "10", &json!({"join_rule": "knock"})).await;
    knock(&guest, &room, &host).await;
    host.sees_membership(&room, &guest.id, "knock").await;
    guest.leaves(&room).await.ok();
    host.sees_membership(&room, &guest.id, "leave").await;
}

async fn knocks(mut host: Person, mut guest: Person, version: &str) {
    let room = room_with(&host, version, &json!({"join_rule": "knock"})).await;
    knock(&guest, &room, &host).await;
    host.sees_membership(&room, &guest.id, "knock").await;
    guest
        .sees("the knock", |sync| {
            sync.0["rooms"]["knock"].get(&room.id).cloned()
        })
        .await;
    host.invites(&room, &guest).await.ok();
    guest.sees_invite(&room).await;
    guest.joins(&room).await.ok();
    host.sees_membership(&room, &guest.id, "join").await;
    agree(&host, &guest, &room).await;
}

async fn knock(guest: &Person, room: &Room, via: &Person) {
    let body = json!({"reason": "please"});
    let knocking = guest.post(v3(&["knock", &room.id]), &body);
    let knocking = knocking
        .query("via", via.server_name())
        .query("server_name", via.server_name());
    knocking.await.ok();
}

#[tokio::test]
async fn members_of_one_room_may_join_another() {
    let Some(world) = World::new().await else {
        return;
    };
    for version in ["8", "10", "12"] {
        let (ours, theirs) = tokio::join!(world.couple(), world.couple());
        tokio::join!(
            restricted(ours.0, ours.1, version),
            restricted(theirs.1, theirs.0, version)
        );
    }
}

async fn restricted(mut host: Person, mut guest: Person, version: &str) {
    let club = host.creates_room().public().version(version).await;
    let rule = json!({"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club.id}]});
    let room = room_with(&host, version, &rule).await;
    guest
        .tries_to_join(&room, &host)
        .await
        .refused(403, "M_FORBIDDEN");
    guest.joins_via(&club, &host).await;
    host.sees_membership(&club, &guest.id, "join").await;
    guest.joins_via(&room, &host).await;
    let join = host.sees_membership(&room, &guest.id, "join").await;
    assert_eq!(
        join["content"]["join_authorised_via_users_server"],
        json!(host.id)
    );
    let said = guest.says(&room, "let in").await;
    host.sees_event(&room, &said).await;
    let said = host.says(&room, "welcome").await;
    guest.sees_event(&room, &said).await;
    agree(&host, &guest, &room).await;
}

/// A room of the host's with this content of its join rules.
async fn room_with(host: &Person, version: &str, rule: &serde_json::Value) -> Room {
    let event = json!({"type": "m.room.join_rules", "state_key": "", "content": rule});
    let room = host.creates_room().version(version);
    room.option("initial_state", json!([event])).await
}
