//! Which events are brought to other servers, and to which.

use ruma::OwnedEventId;
use storage::{Limit, Position, events::StoredEvent, outbox};

use super::{federation::pairs, fixture::House};

/// All that a server brings to others, oldest first.
async fn outgoing(house: &House) -> Vec<StoredEvent> {
    let store = &house.engine.context.store;
    let (start, end) = (Position(0), store.position());
    outbox::outgoing(store.reader(), start, end, Limit::MAX)
        .await
        .unwrap()
}

/// The servers that were in the room at an event.
async fn audience(house: &House, id: &OwnedEventId) -> Vec<String> {
    let all = outgoing(house).await;
    let event = all.iter().find(|event| event.event_id == id.as_str());
    let event = event.expect("it is outgoing");
    let audience = house.engine.servers_at(event.room, event.current).await;
    audience
        .unwrap()
        .servers()
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn an_event_is_for_those_who_were_in_the_room_at_it_whatever_came_later() {
    for pair in pairs().await {
        let alice = pair.here.person("alice");
        let (room, _, bob) = pair.joined_room("12").await;
        let during = alice.says(&room, "with bob").await.unwrap();
        let target = super::fixture::target(&bob);
        let handle = alice.room(&room).await;
        let kicked = handle.kick(&alice.requester, target).await.unwrap();
        let after = alice.says(&room, "without bob").await.unwrap();
        let before = outgoing(&pair.here).await[2].event_id.clone();
        let before = before.try_into().unwrap();
        // In any order: the servers are those of the event, not those that were asked for last.
        for _ in 0..2 {
            assert_eq!(audience(&pair.here, &after).await, ["here"]);
            assert_eq!(audience(&pair.here, &during).await, ["here", "there"]);
            assert_eq!(audience(&pair.here, &kicked).await, ["here"]);
            assert_eq!(audience(&pair.here, &before).await, ["here"]);
        }
        let row = outgoing(&pair.here).await[0].room;
        let now = pair.here.engine.servers_now(row).await.unwrap();
        assert!(!now.contains("there".try_into().unwrap()));
    }
}

#[tokio::test]
async fn a_join_is_brought_to_others_by_the_server_that_took_it_in() {
    for pair in pairs().await {
        let (room, _, bob) = pair.joined_room("11").await;
        let joins = |events: Vec<StoredEvent>| {
            let of_bob = |event: &StoredEvent| event.sender == bob.requester.user_id.as_str();
            events.into_iter().filter(of_bob).count()
        };
        assert_eq!(joins(outgoing(&pair.here).await), 1, "the resident server");
        assert_eq!(joins(outgoing(&pair.there).await), 0, "his own");
        let said = bob.says(&room, "hello").await.unwrap();
        assert_eq!(audience(&pair.there, &said).await, ["here", "there"]);
    }
}
