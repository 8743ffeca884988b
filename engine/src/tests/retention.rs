//! What is not kept for ever: MSC1763, and forgotten rooms.

use ruma::OwnedRoomId;
use serde_json::{Value, json};
use storage::{Limit, RoomRow, events, purges};

use super::fixture::{House, Person, bodies, houses_with};
use crate::{
    ContextAsk, Error, NotificationsAsk, Preset, Redact, RelationFilter, RetentionSettings,
};

/// A day, in ms.
const DAY: i64 = 24 * 60 * 60 * 1000;

async fn keeping() -> Vec<House> {
    houses_with(|settings| {
        settings.retention = RetentionSettings {
            messages: true,
            forgotten_rooms_ms: Some(DAY),
            ..RetentionSettings::default()
        };
    })
    .await
}

impl Person {
    async fn keeps_for(&self, room: &OwnedRoomId, content: Value) -> crate::Result<()> {
        let content = serde_json::to_vec(&content).unwrap();
        let content = spec::json::parse_object(&content, spec::json::Strictness::Strict).unwrap();
        let set = crate::SetState {
            event_type: "m.room.retention".to_owned(),
            state_key: String::new(),
            content,
        };
        let room = self.room(room).await;
        room.set_state(&self.requester, set).await.map(drop)
    }

    async fn sees(&self, room: &OwnedRoomId) -> Vec<String> {
        bodies(&self.syncs(None).await, room)
    }
}

#[tokio::test]
async fn old_messages_are_hidden_at_once_and_deleted_later_but_for_the_last() {
    for house in keeping().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        alice
            .keeps_for(&room, json!({ "max_lifetime": DAY }))
            .await
            .unwrap();
        let since = alice.syncs(None).await.next_batch;
        let old = bob.says(&room, "old").await.unwrap();
        let answer = bob.relates(&room, "m.thread", &old).await.unwrap();
        alice.syncs(None).await;
        house.clock.advance(DAY + 1);
        let young = bob.says(&room, "young").await.unwrap();
        assert_eq!(alice.sees(&room).await, ["young"]);
        let context = ContextAsk {
            event_id: young.clone(),
            limit: 100,
            filter: Default::default(),
            relations: RelationFilter::default(),
        };
        let context = alice
            .room(&room)
            .await
            .context(&alice.requester, context)
            .await;
        let context = context.unwrap();
        let old_ones = |event: &&ruma::serde::Raw<_>| event.json().get().contains(old.as_str());
        assert_eq!(context.events_before.iter().filter(old_ones).count(), 0);
        let get = alice.room(&room).await.event(&alice.requester, &old).await;
        assert!(matches!(get, Err(Error::NotFound(_))), "{get:?}");

        let db = house.engine.context.store.reader();
        assert!(
            events::by_id(db, &old).await.unwrap().is_some(),
            "hidden only"
        );
        house.engine.expire_messages().await.unwrap();
        for gone in [&old, &answer] {
            assert!(events::by_id(db, gone).await.unwrap().is_none());
        }
        let later = alice.syncs(Some(&since)).await;
        assert_eq!(bodies(&later, &room), ["young"]);
        let all = NotificationsAsk::default();
        let known = alice.engine.notifications(&alice.requester, &all);
        let known = known.await.unwrap();
        assert_eq!(known.notifications.len(), 1);

        // The last one stays until another follows it; whoever comes later finds the room as it was.
        house.clock.advance(DAY + 1);
        house.engine.expire_messages().await.unwrap();
        assert!(events::by_id(db, &young).await.unwrap().is_some());
        assert!(alice.sees(&room).await.is_empty());
        alice.says(&room, "more").await.unwrap();
        house.engine.expire_messages().await.unwrap();
        assert!(events::by_id(db, &young).await.unwrap().is_none());
        assert_eq!(bob.sees(&room).await, ["more"]);
    }
}

#[tokio::test]
async fn many_go_in_steps_and_other_rooms_keep_theirs() {
    for house in keeping().await {
        let alice = house.person("alice");
        let (brief, other) = (
            alice.creates("12", Preset::Private).await,
            alice.creates("12", Preset::Private).await,
        );
        alice
            .keeps_for(&brief, json!({ "max_lifetime": 1_000 }))
            .await
            .unwrap();
        for _ in 0..600 {
            alice.says(&brief, "old").await.unwrap();
        }
        let said = alice.says(&other, "old").await.unwrap();
        house.clock.advance(2_000);
        alice.says(&brief, "young").await.unwrap();
        house.engine.expire_messages().await.unwrap();
        let db = house.engine.context.store.reader();
        let row = alice.room(&brief).await.meta.row;
        let left = purges::expired(db, row, i64::MAX, purges::FIRST, Limit::new(1_000)).await;
        assert_eq!(left.unwrap().len(), 1);
        assert!(events::by_id(db, &said).await.unwrap().is_some());
    }
}

/// What a redaction has emptied stays so, and the room can still be read.
#[tokio::test]
async fn redactions_of_state_stay() {
    for house in keeping().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        alice
            .keeps_for(&room, json!({ "max_lifetime": 1_000 }))
            .await
            .unwrap();
        let name = crate::SetState {
            event_type: "m.room.name".to_owned(),
            state_key: String::new(),
            content: spec::object! { "name" => "a name" },
        };
        let handle = alice.room(&room).await;
        let name = handle.set_state(&alice.requester, name).await.unwrap();
        let said = alice.says(&room, "a message").await.unwrap();
        let mut redactions = Vec::new();
        for event_id in [&name, &said] {
            let ask = Redact {
                event_id: event_id.clone(),
                content: spec::object! { "reason" => "none" },
                txn_id: None,
            };
            redactions.push(handle.redact(&alice.requester, ask).await.unwrap());
        }
        house.clock.advance(2_000);
        alice.says(&room, "young").await.unwrap();
        house.engine.expire_messages().await.unwrap();
        let db = house.engine.context.store.reader();
        let left = async |id: &_| events::by_id(db, id).await.unwrap().is_some();
        assert!(left(&name).await && left(&redactions[0]).await);
        assert!(!left(&said).await && !left(&redactions[1]).await);
        alice.syncs(None).await;
    }
}

#[tokio::test]
async fn nonsense_is_refused() {
    for house in keeping().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        for content in [
            json!({ "max_lifetime": "1d" }),
            json!({ "max_lifetime": 0 }),
            json!({ "min_lifetime": -1 }),
            json!({ "min_lifetime": 2, "max_lifetime": 1 }),
        ] {
            let refused = alice.keeps_for(&room, content.clone()).await;
            assert!(matches!(refused, Err(Error::BadJson(_))), "{content}");
        }
        alice.keeps_for(&room, json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn a_room_that_all_have_forgotten_goes_and_may_be_made_anew() {
    for house in keeping().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        for n in 0..600 {
            alice.says(&room, &format!("message {n}")).await.unwrap();
        }
        let row = alice.room(&room).await.meta.row;
        let left = async || {
            let store = &house.engine.context.store;
            purges::is_left(store.reader(), row).await.unwrap()
        };
        for who in [&alice, &bob] {
            house.clock.advance(DAY + 1);
            house.engine.purge_forgotten().await.unwrap();
            assert!(left().await, "somebody still has to do with it");
            who.leaves(&room).await.unwrap();
            who.room(&room).await.forget(&who.requester).await.unwrap();
        }
        house.engine.purge_forgotten().await.unwrap();
        assert!(left().await, "too early");
        house.clock.advance(DAY + 1);
        house.engine.purge_forgotten().await.unwrap();
        assert!(!left().await);
        let unknown = house.engine.room(&room).await.err();
        assert!(matches!(unknown, Some(Error::NotFound(_))), "{unknown:?}");
        alice.syncs(None).await;
        let db = house.engine.context.store.reader();
        let due = purges::due(db, i64::MAX, RoomRow(0), Limit::new(9)).await;
        assert!(due.unwrap().is_empty());
    }
}

/// Whoever comes back keeps the room.
#[tokio::test]
async fn a_room_that_somebody_returned_to_stays() {
    for house in keeping().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Public).await;
        alice.says(&room, "hello").await.unwrap();
        alice.leaves(&room).await.unwrap();
        alice
            .room(&room)
            .await
            .forget(&alice.requester)
            .await
            .unwrap();
        alice.joins(&room).await.unwrap();
        house.clock.advance(2 * DAY);
        house.engine.purge_forgotten().await.unwrap();
        alice.says(&room, "again").await.unwrap();
        assert_eq!(alice.sees(&room).await.last().unwrap(), "again");
    }
}

/// MSC2228: hidden when it is due, and deleted later; never state.
#[tokio::test]
async fn messages_go_when_they_say_so() {
    for house in keeping().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let due = super::fixture::START_MS + 1_000;
        let sends = async |key: &str, due: Value| {
            let content = json!({ "msgtype": "m.text", "body": "brief needle", key: due });
            let content = serde_json::to_vec(&content).unwrap();
            let content = spec::json::parse_object(&content, spec::json::Strictness::Strict);
            let ask = crate::Send {
                event_type: "m.room.message".to_owned(),
                content: content.unwrap(),
                txn_id: None,
            };
            let handle = alice.room(&room).await;
            handle.send(&alice.requester, ask).await.unwrap()
        };
        let brief = [
            sends("m.self_destruct_after", json!(due)).await,
            sends("org.matrix.self_destruct_after", json!(due)).await,
        ];
        let stays = [
            sends("m.self_destruct_after", json!(due + 1)).await,
            sends("m.self_destruct_after", json!("soon")).await,
        ];
        let name = json!({ "name": "a name", "m.self_destruct_after": due });
        alice.configures(&room, "m.room.name", name).await;
        assert_eq!(alice.sees(&room).await.len(), 4);
        house.clock.advance(1_000);
        assert_eq!(alice.sees(&room).await.len(), 2, "hidden at once");
        let db = house.engine.context.store.reader();
        house.engine.expire_self_destructing().await.unwrap();
        for gone in &brief {
            assert!(events::by_id(db, gone).await.unwrap().is_none());
        }
        for here in &stays {
            assert!(events::by_id(db, here).await.unwrap().is_some());
        }
        let left = purges::self_destructing(db, i64::MAX, purges::FIRST, Limit::new(9)).await;
        assert_eq!(left.unwrap().len(), 1);
        let handle = alice.room(&room).await;
        let name = handle.state_event(&alice.requester, "m.room.name", "");
        name.await.unwrap();
        let redact = Redact {
            event_id: stays[0].clone(),
            content: spec::json::Object::new(),
            txn_id: None,
        };
        handle.redact(&alice.requester, redact).await.unwrap();
        let left = purges::self_destructing(db, i64::MAX, purges::FIRST, Limit::new(9)).await;
        assert!(
            left.unwrap().is_empty(),
            "a redacted message says nothing any more"
        );
    }
}
