//! The state that other state took the place of: it is shown to those only who may see it.

use ruma::{OwnedRoomId, api::client::sync::sync_events::v3::State};
use serde_json::{Value, json};

use super::{
    fixture::{Person, houses},
    redactions::timeline,
};
use crate::{Direction, MessagesAsk, Preset, RelationFilter, SyncAsk};

/// Each way in which a reader meets the room's topic, with what it says of the one before.
async fn topics(reader: &Person, room: &OwnedRoomId, since: &str) -> Vec<(&'static str, Value)> {
    let handle = reader.room(room).await;
    let ask = MessagesAsk {
        from: None,
        to: None,
        direction: Direction::Backward,
        limit: 100,
        filter: ruma::api::client::filter::RoomEventFilter::default(),
        relations: RelationFilter::default(),
    };
    let page = handle.messages(&reader.requester, ask).await.unwrap();
    let all = page.chunk.iter();
    let all: Vec<Value> = all
        .map(|event| event.deserialize_as_unchecked().unwrap())
        .collect();
    let is_topic = |event: &&Value| event["type"] == "m.room.topic";
    let last = all.iter().find(is_topic).expect("a topic").clone();
    let id = last["event_id"].as_str().unwrap().try_into().unwrap();
    let one = handle.event(&reader.requester, id).await.unwrap();
    let single = handle
        .state_event(&reader.requester, "m.room.topic", "")
        .await
        .unwrap();
    let whole = handle.state(&reader.requester).await.unwrap();
    let whole = whole.iter();
    let mut whole = whole.map(|event| event.deserialize_as_unchecked::<Value>().unwrap());
    let synced = timeline(&reader.syncs(Some(since)).await, room);
    // All state, none of it in the timeline.
    let filter = json!({ "room": { "timeline": { "limit": 0 } } });
    let ask = SyncAsk {
        filter: serde_json::from_value(filter).unwrap(),
        ..SyncAsk::default()
    };
    let initial = reader.engine.sync(&reader.requester, &ask).await.unwrap();
    let State::Before(initial) = initial.rooms.join[room].state.clone() else {
        panic!("the state after the timeline was not asked for");
    };
    let initial = initial.events.iter();
    let mut initial = initial.map(|event| event.deserialize_as_unchecked::<Value>().unwrap());
    vec![
        ("messages", last),
        ("event", one.deserialize_as_unchecked().unwrap()),
        (
            "one of the state",
            single.deserialize_as_unchecked().unwrap(),
        ),
        ("state", whole.find(|event| is_topic(&event)).unwrap()),
        ("sync", synced.iter().find(is_topic).unwrap().clone()),
        (
            "initial sync",
            initial.find(|event| is_topic(&event)).unwrap(),
        ),
    ]
}

/// Client-server API, "Room event format": `prev_content` is there only "if the client has permission to see the previous
/// content".
#[tokio::test]
async fn who_may_not_see_the_state_before_is_not_shown_it_with_the_state_after() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        let joined = json!({ "history_visibility": "joined" });
        alice
            .configures(&room, "m.room.history_visibility", joined)
            .await;
        for topic in ["first", "hidden"] {
            let topic = json!({ "topic": topic });
            alice.configures(&room, "m.room.topic", topic).await;
        }
        let before = alice.syncs(None).await.next_batch;
        bob.joins(&room).await.unwrap();
        let since = bob.syncs(None).await.next_batch;
        let topic = json!({ "topic": "for both" });
        alice.configures(&room, "m.room.topic", topic).await;
        for (way, event) in topics(&bob, &room, &since).await {
            assert_eq!(event["content"]["topic"], "for both", "{way}");
            assert!(!event.to_string().contains("hidden"), "{way}: {event}");
            let unsigned = &event["unsigned"];
            assert_eq!(unsigned["replaces_state"], Value::Null, "{way}");
        }
        for (way, event) in topics(&alice, &room, &before).await {
            let replaced = &event["unsigned"]["prev_content"]["topic"];
            assert_eq!(replaced, "hidden", "{way}");
        }
        let since = bob.syncs(None).await.next_batch;
        let topic = json!({ "topic": "and again" });
        alice.configures(&room, "m.room.topic", topic).await;
        for (way, event) in topics(&bob, &room, &since).await {
            let replaced = &event["unsigned"]["prev_content"]["topic"];
            assert_eq!(replaced, "for both", "{way}");
        }
    }
}

#[tokio::test]
async fn ones_own_membership_is_shown_with_what_it_was_before() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Private).await;
        let joined = json!({ "history_visibility": "joined" });
        alice
            .configures(&room, "m.room.history_visibility", joined)
            .await;
        alice.invites(&room, &bob).await.unwrap();
        let since = bob.syncs(None).await.next_batch;
        bob.leaves(&room).await.unwrap();
        let synced = bob.syncs(Some(&since)).await;
        let left = &synced.rooms.leave[&room].timeline.events[0];
        let left: Value = left.deserialize_as_unchecked().unwrap();
        assert_eq!(left["unsigned"]["prev_content"]["membership"], "invite");
    }
}
