//! Forks that are resolved: what changes without an event of its own, and who hears of it.

use std::sync::Arc;

use ruma::{OwnedEventId, OwnedRoomId, api::client::sync::sync_events::v3::Response};
use spec::{json::Object, object};
use storage::Store;

use super::{
    federation::{Pair, name, pairs, settled},
    fixture::{House, Person, bodies, target},
};
use crate::{SetState, SyncAsk};

/// A room of both servers: alice is here, bob is there and may do all that a moderator may.
pub(super) async fn moderated_room(pair: &Pair, version: &str) -> (OwnedRoomId, Person, Person) {
    let (room, alice, bob) = pair.joined_room(version).await;
    let levels = levels(&alice, &room, 50).await;
    pair.deliver(&pair.here, &pair.there, &[levels]).await;
    (room, alice, bob)
}

pub(super) async fn sets(
    by: &Person,
    room: &OwnedRoomId,
    event_type: &str,
    content: Object,
) -> OwnedEventId {
    let ask = SetState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content,
    };
    let room = by.room(room).await;
    room.set_state(&by.requester, ask).await.unwrap()
}

async fn topic(by: &Person, room: &OwnedRoomId, text: &str) -> OwnedEventId {
    sets(by, room, "m.room.topic", object! { "topic" => text }).await
}

/// Gives bob a level.
async fn levels(alice: &Person, room: &OwnedRoomId, bob: i64) -> OwnedEventId {
    let room_handle = alice.room(room).await;
    let levels = room_handle.state_event(&alice.requester, "m.room.power_levels", "");
    let levels = levels.await.unwrap();
    let mut content: Object = levels.get_field("content").unwrap().unwrap();
    let mut users = content["users"].as_object().unwrap().clone();
    users.insert("@bob:there".to_owned(), bob.into());
    content.insert("users".to_owned(), users.into());
    sets(alice, room, "m.room.power_levels", content).await
}

/// What somebody hears after `since`: from memory, and from the store as after a restart.
async fn heard(house: &House, by: &Person, ask: &SyncAsk) -> [Response; 2] {
    let store: Store = house.engine.context.store.clone();
    let again = House::named(store, name(house));
    let heard = |engine: crate::Engine| async move {
        engine.sync(&by.requester, ask).await.expect("an answer")
    };
    [
        heard(house.engine.clone()).await,
        heard(again.engine.clone()).await,
    ]
}

fn since(token: &str) -> SyncAsk {
    SyncAsk {
        since: Some(token.to_owned()),
        ..SyncAsk::default()
    }
}

/// The topics among the state and the timeline of a joined room.
fn topics(response: &Response, room: &OwnedRoomId) -> (Vec<String>, Vec<String>) {
    let joined = &response.rooms.join[room];
    let of = |json: &str| {
        let event: serde_json::Value = serde_json::from_str(json).unwrap();
        event["content"]["topic"].as_str().map(str::to_owned)
    };
    let state = match &joined.state {
        ruma::api::client::sync::sync_events::v3::State::Before(state)
        | ruma::api::client::sync::sync_events::v3::State::After(state) => &state.events,
        _ => unreachable!("no other kind is sent"),
    };
    let state = state.iter().filter_map(|event| of(event.json().get()));
    let timeline = joined.timeline.events.iter();
    let timeline = timeline.filter_map(|event| of(event.json().get()));
    (state.collect(), timeline.collect())
}

#[tokio::test]
async fn whose_join_is_undone_sees_that_the_room_ends() {
    for pair in pairs().await {
        for version in ["2", "11", "12"] {
            let (room, alice, bob) = moderated_room(&pair, version).await;
            let carol = pair.here.person(&format!("carol{version}"));
            carol.joins(&room).await.unwrap();
            let start = carol.syncs(None).await.next_batch;
            let since_start = since(&start);
            // Bob does not know of Carol when he closes the room.
            let closed = object! { "join_rule" => "invite" };
            let closed = sets(&bob, &room, "m.room.join_rules", closed).await;
            pair.deliver(&pair.there, &pair.here, &[closed]).await;
            alice.says(&room, "among us").await.unwrap();

            for response in heard(&pair.here, &carol, &since_start).await {
                let rooms = &response.rooms;
                assert!(rooms.join.is_empty(), "{version}: {rooms:?}");
                assert!(rooms.leave.contains_key(&room), "{version}: {rooms:?}");
                let leave = format!("{:?}", rooms.leave);
                assert!(!leave.contains("among us"), "{version}: {leave}");
                let later = carol.syncs(Some(&response.next_batch)).await;
                assert!(later.rooms.is_empty(), "{version}: {:?}", later.rooms);
            }
            assert!(carol.says(&room, "hello?").await.is_err(), "{version}");
            let handle = alice.room(&room).await;
            let members = handle.joined_members(&alice.requester).await.unwrap();
            assert_eq!(members.len(), 2, "{version}");
            let handle = carol.room(&room).await;
            assert!(
                handle.state(&carol.requester).await.is_ok(),
                "as she left it"
            );
        }
    }
}

#[tokio::test]
async fn state_that_a_resolution_puts_back_is_told() {
    for pair in pairs().await {
        for version in ["6", "12"] {
            let (room, alice, bob) = moderated_room(&pair, version).await;
            let old = topic(&alice, &room, "old").await;
            pair.deliver(&pair.here, &pair.there, &[old]).await;
            topic(&bob, &room, "new").await;
            let start = bob.syncs(None).await.next_batch;
            // Alice does not know of the new topic when she takes his power.
            let demoted = levels(&alice, &room, 0).await;
            pair.deliver(&pair.here, &pair.there, &[demoted]).await;

            for use_state_after in [false, true] {
                let ask = SyncAsk {
                    use_state_after,
                    ..since(&start)
                };
                for response in heard(&pair.there, &bob, &ask).await {
                    let (state, timeline) = topics(&response, &room);
                    assert_eq!(state, ["old"], "{version}");
                    assert!(timeline.is_empty(), "{version}");
                }
            }
            // Also where the filter wants nothing of the timeline.
            let mut ask = since(&start);
            Arc::make_mut(&mut ask.filter).room.timeline.types =
                Some(vec!["m.room.message".to_owned()]);
            for response in heard(&pair.there, &bob, &ask).await {
                assert_eq!(topics(&response, &room).0, ["old"], "{version}");
                let again = bob.syncs(Some(&response.next_batch)).await;
                assert!(again.rooms.is_empty(), "told once");
            }
        }
    }
}

#[tokio::test]
async fn what_came_just_before_decides_with_the_rest() {
    for pair in pairs().await {
        for version in ["6", "12"] {
            let (room, alice, bob) = moderated_room(&pair, version).await;
            // Of two topics the one counts whose power levels are the newer, whichever was said first. These come in one
            // transaction with what stands on them.
            let levels = levels(&alice, &room, 60).await;
            let hers = topic(&alice, &room, "hers").await;
            topic(&bob, &room, "his").await;
            pair.deliver(&pair.here, &pair.there, &[levels, hers]).await;
            let handle = bob.room(&room).await;
            let topic = handle.state_event(&bob.requester, "m.room.topic", "");
            let topic: Object = topic.await.unwrap().get_field("content").unwrap().unwrap();
            assert_eq!(topic["topic"].as_str(), Some("hers"), "{version}");
        }
    }
}

#[tokio::test]
async fn who_is_back_by_a_resolution_sees_the_room_again() {
    for pair in pairs().await {
        let (room, alice, bob) = moderated_room(&pair, "11").await;
        let dan = pair.there.person("dan");
        let joined = dan.joins(&room).await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[joined]).await;
        let handle = bob.room(&room).await;
        handle.kick(&bob.requester, target(&dan)).await.unwrap();
        let start = dan.syncs(None).await.next_batch;
        let demoted = levels(&alice, &room, 0).await;
        pair.deliver(&pair.here, &pair.there, &[demoted]).await;
        for response in heard(&pair.there, &dan, &since(&start)).await {
            let state = format!("{:?}", response.rooms.join[&room].state);
            assert!(state.contains("m.room.create"), "all of it: {state}");
        }
        dan.says(&room, "here again").await.unwrap();
    }
}

#[tokio::test]
async fn what_was_soft_failed_and_counts_in_the_end_is_told() {
    for pair in pairs().await {
        let (room, alice, bob) = moderated_room(&pair, "11").await;
        let dan = pair.there.person("dan");
        let joined = dan.joins(&room).await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[joined]).await;
        let old = topic(&alice, &room, "old").await;
        pair.deliver(&pair.here, &pair.there, &[old]).await;
        levels(&alice, &room, 0).await;
        pair.there.clock.advance(1_000);
        let new = topic(&bob, &room, "new").await;
        pair.deliver(&pair.there, &pair.here, &[new]).await;
        let start = alice.syncs(None).await.next_batch;
        levels(&alice, &room, 50).await;
        let said = dan.says(&room, "about the new topic").await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[said]).await;
        for response in heard(&pair.here, &alice, &since(&start)).await {
            assert_eq!(bodies(&response, &room), ["about the new topic"]);
            assert_eq!(topics(&response, &room).0, ["new"]);
        }
    }
}

#[tokio::test]
async fn a_gap_makes_the_timeline_limited_and_nothing_from_before_it_is_shown() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let start = alice.syncs(None).await.next_batch;
        alice.says(&room, "before").await.unwrap();
        let mut last = None;
        for n in 0..270 {
            last = Some(bob.says(&room, &n.to_string()).await.unwrap());
        }
        pair.deliver(&pair.there, &pair.here, &[last.unwrap()])
            .await;
        settled(&pair.here).await;
        let mut ask = since(&start);
        Arc::make_mut(&mut ask.filter).room.timeline.limit = Some(100_u32.into());
        for response in heard(&pair.here, &alice, &ask).await {
            let timeline = &response.rooms.join[&room].timeline;
            assert!(timeline.limited);
            let seen = bodies(&response, &room);
            assert_eq!(seen.last().unwrap(), "269");
            assert!(!seen.contains(&"before".to_owned()), "{seen:?}");
        }
        let later = alice.says(&room, "after").await.unwrap();
        let next = alice.syncs(Some(&start)).await.next_batch;
        alice.says(&room, "and on").await.unwrap();
        let response = alice.syncs(Some(&next)).await;
        assert!(!response.rooms.join[&room].timeline.limited, "{later}");
    }
}
