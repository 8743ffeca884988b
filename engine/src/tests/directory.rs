//! What rooms show of themselves follows their state, whichever server changed it.

use ruma::{OwnedRoomId, directory::PublicRoomsChunk};
use spec::{
    json::{Object, Value},
    object,
};

use super::{
    federation::{Pair, name, pairs},
    fixture::{House, Person},
};
use crate::{CreateRoom, HierarchyAsk, Preset, PublicRoomsAsk, SetState};

async fn listed(house: &House, room: &OwnedRoomId) -> Option<PublicRoomsChunk> {
    let ask = PublicRoomsAsk::default();
    let page = house.engine.public_rooms(None, &ask).await.unwrap();
    page.chunk.into_iter().find(|entry| entry.room_id == *room)
}

async fn sets(pair: &Pair, by: &Person, room: &OwnedRoomId, event_type: &str, content: Object) {
    let ask = SetState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content,
    };
    let handle = by.room(room).await;
    let event = handle.set_state(&by.requester, ask).await.unwrap();
    pair.deliver(&pair.here, &pair.there, &[event]).await;
}

/// ALIAS-08, ALIAS-10: the other server's list follows, and a room that was replaced leaves it there, too.
#[tokio::test]
async fn what_another_server_lists_follows_the_room() {
    for pair in pairs().await {
        for version in ["6", "11", "12"] {
            let (room, alice, bob) = pair.joined_room(version).await;
            let mut operator = bob.requester.clone();
            operator.admin = true;
            let there = bob.room(&room).await;
            there.set_published(&operator, true).await.unwrap();
            let seen = listed(&pair.there, &room).await.expect("it is listed");
            assert_eq!(u64::from(seen.num_joined_members), 2, "{version}");
            assert_eq!(seen.name, None, "{version}");
            assert_eq!(listed(&pair.here, &room).await.map(|_| ()), None);

            let named = object! { "name" => "the shop" };
            sets(&pair, &alice, &room, "m.room.name", named).await;
            let seen = listed(&pair.there, &room).await.expect("it is listed");
            assert_eq!(seen.name.as_deref(), Some("the shop"), "{version}");
            let tombstone = object! { "body" => "moved", "replacement_room" => "!new:here" };
            sets(&pair, &alice, &room, "m.room.tombstone", tombstone).await;
            assert!(listed(&pair.there, &room).await.is_none(), "{version}");
        }
    }
}

/// SPACE-05, SPACE-06: a room for members of another shows once a user of the asking server is in that one.
#[tokio::test]
async fn a_server_is_told_of_rooms_that_its_users_could_join() {
    for pair in pairs().await {
        let (club, alice, bob) = pair.joined_room("11").await;
        let eve = pair.there.person("eve");
        let members = alice.creates("11", Preset::Public).await;
        let condition = object! { "type" => "m.room_membership", "room_id" => club.as_str() };
        let rule = object! {
            "join_rule" => "restricted",
            "allow" => Value::Array(vec![Value::Object(condition)]),
        };
        let ask = SetState {
            event_type: "m.room.join_rules".to_owned(),
            state_key: String::new(),
            content: rule,
        };
        let handle = alice.room(&members).await;
        handle.set_state(&alice.requester, ask).await.unwrap();
        let inbound = pair.here.engine.inbound();
        let told = inbound.hierarchy(&name(&pair.there), &members, false).await;
        let told = told.expect("bob is in the club");
        assert!(told.contains_key("room"), "{told:?}");
        let stranger = ruma::owned_server_name!("stranger");
        let told = inbound.hierarchy(&stranger, &members, false).await;
        assert!(told.is_err(), "{told:?}");

        let ask = HierarchyAsk::default();
        let seen = bob.engine.hierarchy(&bob.requester, &members, &ask).await;
        assert_eq!(seen.expect("through its server").rooms.len(), 1);
        let seen = eve.engine.hierarchy(&eve.requester, &members, &ask).await;
        assert!(seen.is_err(), "eve is not in the club");
    }
}

/// SPACE-05: a room for members of another appears in the space of its server soon after somebody has joined that.
#[tokio::test]
async fn a_room_that_was_barred_appears_when_a_user_could_join_it() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let bob = pair.there.person("bob");
        let ask = CreateRoom {
            room_version: Some("11".to_owned()),
            preset: Some(Preset::Public),
            creation_content: object! { "type" => "m.space" },
            ..CreateRoom::default()
        };
        let space = alice.engine.create_room(&alice.requester, ask).await;
        let space = space.expect("a space");
        let club = alice.creates("11", Preset::Public).await;
        let members = alice.creates("11", Preset::Private).await;
        let condition = object! { "type" => "m.room_membership", "room_id" => club.as_str() };
        let rule = object! {
            "join_rule" => "restricted",
            "allow" => Value::Array(vec![Value::Object(condition)]),
        };
        let link = object! { "via" => Value::Array(vec!["here".into()]) };
        for (room, event_type, state_key, content) in [
            (&members, "m.room.join_rules", "", rule),
            (&space, "m.space.child", members.as_str(), link),
        ] {
            let ask = SetState {
                event_type: event_type.to_owned(),
                state_key: state_key.to_owned(),
                content,
            };
            let handle = alice.room(room).await;
            handle.set_state(&alice.requester, ask).await.unwrap();
        }
        let seen = async || {
            let ask = HierarchyAsk::default();
            let page = bob.engine.hierarchy(&bob.requester, &space, &ask).await;
            page.unwrap().rooms.len()
        };
        assert_eq!(seen().await, 1, "bob is not in the club");
        let via = vec![name(&pair.here)];
        let joined = bob
            .engine
            .join(&bob.requester, &club, via, None, Object::new());
        joined.await.unwrap();
        pair.there.clock.advance(10_000);
        assert_eq!(seen().await, 2);
    }
}
