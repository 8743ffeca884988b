//! Many forks: the forward extremities stay few, and none is lost.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, OwnedRoomId};
use spec::{event::Event, object};

use super::{
    federation::{Pair, name, pairs},
    fixture::{House, Person, bodies},
    redactions::{brings, drafts, message, timeline},
};
use crate::{Preset, SetState};

async fn extremities(person: &Person, room: &OwnedRoomId) -> BTreeSet<OwnedEventId> {
    let room = person.room(room).await;
    let ids = room.run(|room| Box::pin(async move { Ok(room.extremity_ids()) }));
    ids.await.unwrap().into_iter().collect()
}

/// Events that all follow the same ones.
async fn forks(person: &Person, room: &OwnedRoomId, count: usize) -> Vec<Event> {
    let mut forks = Vec::with_capacity(count);
    for n in 0..count {
        forks.push(drafts(person, room, message(person, room, &n.to_string())).await);
    }
    forks
}

/// The parents of an event of a server.
async fn parents(house: &House, id: &OwnedEventId) -> BTreeSet<OwnedEventId> {
    let context = &house.engine.context;
    let stored = storage::events::by_id(context.store.reader(), id)
        .await
        .unwrap()
        .unwrap();
    let known = context.events.get(&context.metas, stored.id).await.unwrap();
    known.event.prev_events().iter().cloned().collect()
}

#[tokio::test]
async fn many_extremities_are_brought_together_unseen() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let since = alice.syncs(None).await.next_batch;
        let forks = forks(&bob, &room, 12).await;
        let all: Vec<&Event> = forks.iter().collect();
        brings(&pair.there, &pair.here, &all[..10]).await;
        assert_eq!(extremities(&alice, &room).await.len(), 10);
        brings(&pair.there, &pair.here, &all[10..11]).await;
        let merged = extremities(&alice, &room).await;
        assert_eq!(merged.len(), 1, "{merged:?}");
        let dummy = merged.into_iter().next().unwrap();
        let followed = parents(&pair.here, &dummy).await;
        let ids: BTreeSet<OwnedEventId> = forks[..11]
            .iter()
            .map(|event| event.id().to_owned())
            .collect();
        assert_eq!(followed, ids, "none is lost");
        brings(&pair.there, &pair.here, &all[11..]).await;
        assert_eq!(extremities(&alice, &room).await.len(), 2);
        // Clients hear of the messages only, on both sides.
        let news = timeline(&alice.syncs(Some(&since)).await, &room);
        assert!(
            news.iter().all(|event| event["type"] == "m.room.message"),
            "{news:?}"
        );
        pair.deliver(&pair.here, &pair.there, &[dummy]).await;
        let shown = timeline(&bob.syncs(None).await, &room);
        assert!(
            shown
                .iter()
                .all(|event| event["type"] != "org.matrix.dummy_event")
        );
    }
}

/// A room of bob in which nobody of the first server may bring extremities together.
async fn strict_room(pair: &Pair) -> (OwnedRoomId, Person, Person) {
    let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
    let room = bob.creates("11", Preset::Public).await;
    let levels = SetState {
        event_type: "m.room.power_levels".to_owned(),
        state_key: String::new(),
        content: object! {
            "users" => object! { "@bob:there" => 100 },
            "events" => object! { "org.matrix.dummy_event" => 50 },
        },
    };
    bob.room(&room)
        .await
        .set_state(&bob.requester, levels)
        .await
        .unwrap();
    let via = vec![name(&pair.there)];
    let joined = alice
        .engine
        .join(&alice.requester, &room, via, None, object! {})
        .await;
    joined.unwrap();
    (room, alice, bob)
}

#[tokio::test]
async fn where_nobody_may_bring_them_together_none_is_lost_and_events_have_few_parents() {
    for pair in pairs().await {
        let (room, alice, bob) = strict_room(&pair).await;
        let forks = forks(&bob, &room, 30).await;
        let all: Vec<&Event> = forks.iter().collect();
        brings(&pair.there, &pair.here, &all).await;
        let before = extremities(&alice, &room).await;
        assert_eq!(before.len(), 30);
        let said = alice.sends(&room, "hello", Some("t1")).await.unwrap();
        assert_eq!(alice.sends(&room, "hello", Some("t1")).await.unwrap(), said);
        let followed = parents(&pair.here, &said).await;
        assert_eq!(followed.len(), 20);
        let mut left: BTreeSet<OwnedEventId> = before.difference(&followed).cloned().collect();
        left.insert(said.clone());
        assert_eq!(extremities(&alice, &room).await, left);
        let since = bob.syncs(None).await.next_batch;
        pair.deliver(&pair.here, &pair.there, &[said]).await;
        assert!(bodies(&bob.syncs(Some(&since)).await, &room).contains(&"hello".to_owned()));
    }
}
