//! Names and pictures on their way into rooms.

use ruma::OwnedRoomId;
use serde_json::json;
use storage::{Plain, Write, entity::unspread_profile, profiles};

use super::{
    federation::pairs,
    fixture::{Person, houses},
    policy::{no_spam, policed},
};
use crate::{Preset, profile};

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
