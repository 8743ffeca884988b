//! What those see who are no longer in a room, whatever became of them since.

use ruma::{OwnedRoomId, api::client::filter::RoomEventFilter};
use serde_json::json;
use spec::object;

use super::fixture::{House, Person, houses, target};
use crate::{
    ContextAsk, Direction, Error, MessagesAsk, Preset, RelationFilter, SearchAsk, SearchOrder,
    SetState, SyncAsk,
};

/// What somebody who was in a room becomes in it later.
#[derive(Clone, Copy, Debug)]
enum Later {
    Nothing,
    Banned,
    Unbanned,
    Rejected,
    Invited,
}

impl Person {
    async fn calls(&self, room: &OwnedRoomId, name: &str) {
        let set = SetState {
            event_type: "m.room.name".to_owned(),
            state_key: String::new(),
            content: object! { "name" => name },
        };
        let room = self.room(room).await;
        room.set_state(&self.requester, set).await.unwrap();
    }

    /// All that `/messages` shows, as one text.
    async fn scrolls(&self, room: &OwnedRoomId) -> String {
        let ask = MessagesAsk {
            from: None,
            to: None,
            direction: Direction::Backward,
            limit: 100,
            filter: RoomEventFilter::default(),
            relations: RelationFilter::default(),
        };
        let page = self.room(room).await.messages(&self.requester, ask).await;
        format!("{:?}", page.unwrap().chunk)
    }

    async fn searches_for(&self, term: &str) -> usize {
        let ask = SearchAsk {
            term: term.to_owned(),
            keys: Vec::new(),
            filter: serde_json::from_value(json!({ "limit": 100 })).unwrap(),
            relations: RelationFilter::default(),
            order: SearchOrder::Recent,
            context: None,
            include_state: false,
            from: None,
        };
        let page = self.engine.search(&self.requester, ask).await.unwrap();
        page.results.len()
    }
}

async fn becomes(later: Later, alice: &Person, bob: &Person, room: &OwnedRoomId) {
    let handle = alice.room(room).await;
    let ban = async || handle.ban(&alice.requester, target(bob)).await.unwrap();
    match later {
        Later::Nothing => {}
        Later::Banned => drop(ban().await),
        Later::Unbanned => {
            ban().await;
            alice.says(room, "another secret").await.unwrap();
            handle.unban(&alice.requester, target(bob)).await.unwrap();
        }
        Later::Invited => drop(alice.invites(room, bob).await.unwrap()),
        Later::Rejected => {
            alice.invites(room, bob).await.unwrap();
            bob.leaves(room).await.unwrap();
        }
    }
}

/// Behaviours SYNC-11 and HV-04.
#[tokio::test]
async fn whatever_becomes_of_those_who_left_shows_them_no_more_of_the_room() {
    for house in houses().await {
        for later in [
            Later::Nothing,
            Later::Banned,
            Later::Unbanned,
            Later::Rejected,
            Later::Invited,
        ] {
            see(&house, later).await;
        }
    }
}

async fn see(house: &House, later: Later) {
    let (alice, bob) = (house.person("alice"), house.person("bob"));
    let room = alice.creates("12", Preset::Private).await;
    alice.invites(&room, &bob).await.unwrap();
    bob.joins(&room).await.unwrap();
    let before = alice.says(&room, "before").await.unwrap();
    let joined = bob.syncs(None).await.next_batch;
    bob.leaves(&room).await.unwrap();
    let left = bob.syncs(Some(&joined)).await;
    assert!(left.rooms.leave.contains_key(&room), "{later:?}: {left:?}");
    let secret = alice.says(&room, "secret").await.unwrap();
    alice.calls(&room, "secret name").await;
    becomes(later, &alice, &bob, &room).await;
    alice.says(&room, "last secret").await.unwrap();

    let text = bob.scrolls(&room).await;
    assert!(text.contains("before"), "{later:?}: {text}");
    assert!(!text.contains("secret"), "{later:?}: {text}");
    let handle = bob.room(&room).await;
    let state = handle.state(&bob.requester).await.unwrap();
    assert!(!format!("{state:?}").contains("secret"), "{later:?}");
    let found = handle.event(&bob.requester, &secret).await;
    assert!(matches!(found, Err(Error::NotFound(_))), "{later:?}");
    let around = ContextAsk {
        event_id: before,
        limit: 50,
        filter: RoomEventFilter::default(),
        relations: RelationFilter::default(),
    };
    let around = handle.context(&bob.requester, around).await.unwrap();
    assert!(!format!("{around:?}").contains("secret"), "{later:?}");
    if !matches!(later, Later::Invited) {
        assert!(bob.searches_for("before").await > 0, "{later:?}");
    }
    assert_eq!(bob.searches_for("secret").await, 0, "{later:?}");

    // Since they heard of their departure, only of what they became.
    for use_state_after in [false, true] {
        let ask = SyncAsk {
            since: Some(left.next_batch.clone()),
            use_state_after,
            ..SyncAsk::default()
        };
        let news = bob.engine.sync(&bob.requester, &ask).await.unwrap();
        let text = format!("{:?}", news.rooms.leave);
        assert!(!text.contains("secret"), "{later:?}: {text}");
        match later {
            Later::Nothing | Later::Invited => assert!(news.rooms.leave.is_empty(), "{text}"),
            Later::Banned | Later::Unbanned | Later::Rejected => {
                let told = &news.rooms.leave[&room].timeline.events;
                assert_eq!(told.len(), 1, "{later:?}: {text}");
                let key = told[0].get_field::<String>("state_key").unwrap();
                assert_eq!(key.as_deref(), Some("@bob:here"), "{later:?}");
            }
        }
    }

    // Nor do they whose client was away, or begins anew.
    for since in [Some(joined), None] {
        let ask = SyncAsk {
            since,
            filter: serde_json::from_value(json!({"room": {"include_leave": true}})).unwrap(),
            ..SyncAsk::default()
        };
        let news = bob.engine.sync(&bob.requester, &ask).await.unwrap();
        let text = format!("{:?}", news.rooms.leave);
        assert!(!text.contains("secret"), "{later:?}: {text}");
        if let Some(left) = news.rooms.leave.get(&room) {
            let last = left.timeline.events.last().unwrap();
            let key = last.get_field::<String>("state_key").unwrap();
            assert_eq!(key.as_deref(), Some("@bob:here"), "{later:?}");
        }
    }
}

/// Behaviour SYNC-12, and FILT-05 of a left room.
#[tokio::test]
async fn a_left_room_loads_its_members_lazily_and_has_its_account_data() {
    for house in houses().await {
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| house.person(name));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        carol.joins(&room).await.unwrap();
        let place = (&*bob.requester.user_id, &*room);
        let accounts = bob.engine.accounts();
        let tagged = accounts.set_tag(&bob.requester, place, "u.old", json!({}));
        tagged.await.unwrap();
        bob.leaves(&room).await.unwrap();
        for limit in [1, 0] {
            let filter = json!({"room": {
                "include_leave": true,
                "state": {"lazy_load_members": true},
                "timeline": {"limit": limit},
            }});
            let ask = SyncAsk {
                filter: serde_json::from_value(filter).unwrap(),
                ..SyncAsk::default()
            };
            let sync = bob.engine.sync(&bob.requester, &ask).await.unwrap();
            let left = &sync.rooms.leave[&room];
            let text = format!("{:?}", left.state);
            assert!(text.contains("@bob:here"), "{limit}: {text}");
            assert!(!text.contains("@carol:here"), "{limit}: {text}");
            assert_eq!(left.timeline.events.len(), limit);
            assert_eq!(left.account_data.events.len(), 1, "{limit}");
        }
    }
}
