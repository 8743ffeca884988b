//! What was said before somebody came, and who may read it; and rooms that end in others.

use serde_json::json;
use tests::{Room, path::v3};

use crate::{
    person::Person,
    world::{VERSIONS, World, agree, patiently},
};

/// More than either server sends along with a join, and more than a page.
const MESSAGES: usize = 30;
/// Events a page.
const PAGE: usize = 20;

#[tokio::test]
async fn history_from_before_the_join_is_read_where_it_may_be() {
    let Some(world) = World::new().await else {
        return;
    };
    for version in VERSIONS {
        let (ours, theirs) = tokio::join!(world.couple(), world.couple());
        tokio::join!(
            pages_back(ours.0, ours.1, version),
            pages_back(theirs.1, theirs.0, version)
        );
    }
}

async fn pages_back(mut host: Person, guest: Person, version: &str) {
    for (visibility, may_read) in [("shared", true), ("joined", false)] {
        let room = host
            .creates_room()
            .public()
            .version(version)
            .visibility(visibility)
            .await;
        let mut said = Vec::new();
        for number in 0..MESSAGES {
            said.push(host.says(&room, &format!("number {number}")).await);
        }
        guest.joins_via(&room, &host).await;
        host.sees_membership(&room, &guest.id, "join").await;
        let after = host.says(&room, "after the join").await;
        // A server may answer before it has what it asked others for.
        let read = patiently(async || {
            let read = messages(&guest, &room).await;
            let whole = !may_read || said.iter().all(|event| read.contains(event));
            let there = read.len();
            (whole && read.contains(&after))
                .then_some(read)
                .ok_or_else(|| {
                    format!(
                        "{} has {there} messages of {} in {version}",
                        guest.id, room.id
                    )
                })
        })
        .await;
        let early = read.iter().filter(|event| said.contains(event)).count();
        assert_eq!(
            early,
            if may_read { MESSAGES } else { 0 },
            "{visibility} in {version}"
        );
        let expected: Vec<_> = read.iter().filter(|event| said.contains(event)).collect();
        let mut sorted = said.clone();
        sorted.reverse();
        assert!(
            expected.is_empty() || expected == sorted.iter().collect::<Vec<_>>(),
            "out of order"
        );
    }
}

/// The IDs of all messages, newest first.
async fn messages(person: &Person, room: &Room) -> Vec<String> {
    let all = person.all_messages(room, "b", PAGE).await;
    let messages = all.iter().filter(|event| event["type"] == "m.room.message");
    let ids = messages.filter_map(|event| event["event_id"].as_str());
    ids.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_room_is_followed_to_its_successor() {
    let Some(world) = World::new().await else {
        return;
    };
    let (ours, theirs) = tokio::join!(world.couple(), world.couple());
    tokio::join!(
        moves(ours.0, ours.1, "10", "12"),
        moves(theirs.1, theirs.0, "11", "12")
    );
}

async fn moves(host: Person, mut guest: Person, from: &str, to: &str) {
    let old = host.creates_room().public().version(from).await;
    guest.joins_via(&old, &host).await;
    // Our server has no `/upgrade` yet; then a client does by hand what it does.
    let upgraded = host.post(
        v3(&["rooms", &old.id, "upgrade"]),
        &json!({"new_version": to}),
    );
    let upgraded = upgraded.await;
    let successor = if upgraded.status == 200 {
        upgraded.ok()["replacement_room"]
            .as_str()
            .expect("a room")
            .to_owned()
    } else {
        let predecessor = json!({"predecessor": {"room_id": old.id}});
        let new = host.creates_room().public().version(to);
        let new = new.option("creation_content", predecessor).await;
        let tombstone = json!({"body": "moved", "replacement_room": new.id});
        host.sets(&old, "m.room.tombstone", &tombstone).await;
        new.id
    };
    let tombstone = guest
        .sees("the tombstone", |sync| {
            let events = sync.events(&old, "timeline").iter();
            events
                .rev()
                .find(|event| event["type"] == "m.room.tombstone")
                .cloned()
        })
        .await;
    assert_eq!(tombstone["content"]["replacement_room"], json!(successor));
    let new = Room { id: successor };
    guest.joins_via(&new, &host).await;
    let create = guest.state(&new, "m.room.create", "").await.ok();
    assert_eq!(create["room_version"], json!(to));
    assert_eq!(create["predecessor"]["room_id"], json!(old.id));
    agree(&host, &guest, &old).await;
    agree(&host, &guest, &new).await;
}
