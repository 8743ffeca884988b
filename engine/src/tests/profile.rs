//! Names and pictures on their way into rooms.

use ruma::OwnedRoomId;
use serde_json::json;
use storage::{
    Plain, Position, Write,
    entity::unspread_profile,
    members::Membership,
    profiles,
    write::{At, NewMembership, NewRoom},
};

use super::{
    federation::pairs,
    fixture::{House, Person, houses, with_account},
    policy::{no_spam, policed},
    search::ask,
};
use crate::{Preset, SearchAsk, profile};

/// PROF-02: the server is stopped after it has kept a new name and before the rooms know it; the next start brings it there.
#[tokio::test]
async fn a_changed_name_reaches_the_rooms_after_a_restart() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let user_id = alice.requester.user_id.clone();
        let store = &house.engine.context.store;
        let unspread = Plain::UnspreadProfile(unspread_profile::Model {
            user_id: user_id.to_string(),
            change: "one".to_owned(),
        });
        let name = profile::row(&user_id, "displayname", &json!("Alice"));
        store
            .write(Write::plain(vec![name, unspread]))
            .await
            .unwrap();
        house.engine.finish_profiles().await.unwrap();
        let handle = alice.room(&room).await;
        let member = handle
            .state_event(&alice.requester, "m.room.member", user_id.as_str())
            .await;
        assert!(
            member
                .unwrap()
                .json()
                .get()
                .contains(r#""displayname":"Alice""#)
        );
        assert_eq!(profiles::unspread(store.reader()).await.unwrap(), []);
        // A change that comes while an older one is brought into the rooms is not lost with that.
        let newer = Plain::UnspreadProfile(unspread_profile::Model {
            user_id: user_id.to_string(),
            change: "two".to_owned(),
        });
        let older = Plain::ProfileSpread {
            user_id,
            change: "one".to_owned(),
        };
        store.write(Write::plain(vec![newer, older])).await.unwrap();
        assert_eq!(profiles::unspread(store.reader()).await.unwrap().len(), 1);
    }
}

/// A room of a later version is left from a later server: it neither keeps a name waiting for ever, nor fails a search.
#[tokio::test]
async fn a_room_of_an_unknown_version_is_passed_over() {
    for house in houses().await {
        let alice = with_account(&house, "alice").await;
        let room = alice.creates("12", Preset::Private).await;
        let store = house.engine.context.store.clone();
        let row = store.ids().next_room();
        let of_later = Plain::Room(NewRoom {
            row,
            room_id: ruma::owned_room_id!("!later:here"),
            version: "later".to_owned(),
            creator: alice.requester.user_id.clone(),
            published: false,
        });
        let member = alice.room(&room).await;
        let member = member.current_state().await.unwrap();
        let joined = Plain::Membership {
            room: row,
            event: *member.values().next().unwrap(),
            membership: NewMembership {
                user_id: alice.requester.user_id.clone(),
                membership: Membership::Join,
                sender: alice.requester.user_id.clone(),
                displayname: None,
                avatar_url: None,
            },
            at: At::Position(Position(1)),
        };
        let later = Write::plain(vec![of_later, joined]);
        store.write(later).await.unwrap();
        let house = House::on(store.clone());
        let alice = house.person("alice");
        let user_id = &alice.requester.user_id;
        house
            .engine
            .set_profile_field(&alice.requester, user_id, "displayname", "Alice".into())
            .await
            .unwrap();
        house.engine.tell_rooms(user_id).await;
        assert_eq!(profiles::unspread(store.reader()).await.unwrap(), []);
        assert_eq!(called(&alice, &room).await, "Alice");
        alice.says(&room, "needle").await.unwrap();
        let filter = json!({ "rooms": [room] });
        let ask = SearchAsk {
            filter: serde_json::from_value(filter).unwrap(),
            ..ask("needle")
        };
        let found = alice.engine.search(&alice.requester, ask).await;
        assert_eq!(found.unwrap().results.len(), 1);
    }
}

/// What the room says that alice is called.
async fn called(person: &Person, room: &OwnedRoomId) -> serde_json::Value {
    let (handle, user) = (person.room(room).await, &person.requester.user_id);
    let member = handle.state_event(&person.requester, "m.room.member", user.as_str());
    let member: serde_json::Value =
        serde_json::from_str(member.await.unwrap().json().get()).unwrap();
    member["content"]["displayname"].clone()
}

/// PROF-02: a room whose policy server does not answer gets a new name later, and no other room waits for that.
#[tokio::test]
async fn a_room_that_cannot_be_told_keeps_the_name_from_no_other() {
    for pair in pairs().await {
        let (slow, alice, _bob) = policed(&pair).await;
        let free = alice.creates("12", Preset::Private).await;
        let user_id = alice.requester.user_id.clone();
        let unspread = Plain::UnspreadProfile(unspread_profile::Model {
            user_id: user_id.to_string(),
            change: "one".to_owned(),
        });
        let name = profile::row(&user_id, "displayname", &json!("Alice"));
        let engine = &alice.engine;
        let write = Write::plain(vec![name, unspread]);
        engine.context.store.write(write).await.unwrap();
        pair.script.plays_policy(|_| None);
        let left = engine.finish_profiles().await.unwrap();
        assert_eq!(left.len(), 1, "it is kept in mind");
        assert_eq!(called(&alice, &free).await, "Alice");
        assert_eq!(called(&alice, &slow).await, json!(null));
        pair.script.plays_policy(no_spam);
        assert_eq!(engine.finish_profiles().await.unwrap(), []);
        assert_eq!(called(&alice, &slow).await, "Alice");

        pair.script.plays_policy(|_| None);
        engine.leave_all(&user_id).await.unwrap_err();
        let joined = engine.joined_rooms(&alice.requester).await.unwrap();
        assert_eq!(joined, [slow], "the other is left");
    }
}
