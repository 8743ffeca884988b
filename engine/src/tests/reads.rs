//! What a sync costs the database: nothing, as long as all that is new is in memory.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use storage::testing::open_each;

use super::fixture::{House, bodies};
use crate::{
    PresenceState, Preset, ReceiptThread, SyncAsk, SyncFilter,
    presence::Among,
    sync::sliding::{ListAsk, RoomConfig, SlidingAsk},
};

/// A request for all rooms.
fn slid(pos: Option<&str>) -> SlidingAsk {
    let list = ListAsk {
        config: RoomConfig {
            timeline_limit: 10,
            ..RoomConfig::default()
        },
        ..ListAsk::default()
    };
    SlidingAsk {
        pos: pos.map(str::to_owned),
        lists: [("all".to_owned(), list)].into(),
        ..SlidingAsk::default()
    }
}

#[tokio::test]
async fn an_incremental_sync_of_what_is_in_memory_reads_nothing() {
    for store in open_each().await.expect("the databases for tests open") {
        let house = House::on(store.clone());
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let mut rooms = Vec::new();
        for _ in 0..5 {
            let room = alice.creates("12", Preset::Public).await;
            bob.joins(&room).await.unwrap();
            rooms.push(room);
        }
        let mut since = bob.syncs(None).await.next_batch;
        let accounts = house.engine.accounts();
        let filter = json!({"room": {"state": {"lazy_load_members": true}}});
        let lazily = accounts.create_filter(&bob.requester, &bob.requester.user_id, &filter);
        let lazily = lazily.await.unwrap();
        let mut pos = (bob.engine.slide(&bob.requester, &slid(None)).await.unwrap()).pos;
        // In the first round some is remembered that the second one needs.
        for round in 0..2 {
            for room in &rooms {
                alice.says(room, "hello").await.unwrap();
            }
            let event = bob.says(&rooms[0], "hello yourself").await.unwrap();
            let handle = alice.room(&rooms[0]).await;
            handle
                .set_receipt(
                    &alice.requester,
                    "m.read",
                    &event,
                    ReceiptThread::Unthreaded,
                )
                .await
                .unwrap();
            handle
                .set_typing(&alice.requester, Some(Duration::from_secs(20)))
                .await
                .unwrap();
            let context = &house.engine.context;
            context.scored(context.notifier.position()).await.unwrap();
            let mut next = None;
            for (lazy, use_state_after) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let before = store.reads();
                let filter = match lazy {
                    true => accounts.sync_filter(&bob.requester, &lazily).await.unwrap(),
                    false => SyncFilter::default(),
                };
                let ask = SyncAsk {
                    since: Some(since.clone()),
                    filter: filter.definition,
                    use_state_after,
                    ..SyncAsk::default()
                };
                let sync = bob.engine.sync(&bob.requester, &ask).await.unwrap();
                let reads = store.reads() - before;
                assert_eq!(sync.rooms.join.len(), rooms.len());
                assert_eq!(bodies(&sync, &rooms[1]), ["hello"]);
                let unread = &sync.rooms.join[&rooms[1]].unread_notifications;
                assert_eq!(unread.notification_count, Some((round + 1_u32).into()));
                assert!(!sync.rooms.join[&rooms[0]].ephemeral.is_empty());
                let how = format!("{reads} statements, {lazy}, {use_state_after}");
                assert!(round == 0 || reads == 0, "{how}");
                next = Some(sync.next_batch);
            }
            since = next.unwrap();
            let before = store.reads();
            let ask = slid(Some(&pos));
            let answer = bob.engine.slide(&bob.requester, &ask).await.unwrap();
            let reads = store.reads() - before;
            assert_eq!(answer.rooms.len(), rooms.len());
            assert!(round == 0 || reads == 0, "{reads} statements, sliding");
            pos = answer.pos;
        }
        assert!(store.reads() > 0, "statements are counted");
    }
}

#[tokio::test]
async fn strangers_who_come_and_go_cost_a_sync_nothing() {
    for store in open_each().await.expect("the databases for tests open") {
        let house = House::on(store.clone());
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let mut since = bob.syncs(None).await.next_batch;
        for round in 0..2 {
            for n in 0..50 {
                let stranger = house.person(&format!("stranger{n}"));
                for state in [PresenceState::Busy, PresenceState::Online] {
                    let done = stranger
                        .engine
                        .set_presence(&stranger.requester, state, None);
                    done.unwrap();
                }
            }
            let state = match round {
                0 => PresenceState::Busy,
                _ => PresenceState::Online,
            };
            (alice.engine.set_presence(&alice.requester, state, None)).unwrap();
            let before = store.reads();
            let sync = bob.syncs(Some(&since)).await;
            let reads = store.reads() - before;
            assert_eq!(sync.presence.events.len(), 1, "that of alice");
            // In the first round it is learned that they are in no room.
            assert!(round == 0 || reads == 0, "{reads} statements");
            since = sync.next_batch;
        }
    }
}

#[tokio::test]
async fn all_who_come_back_after_a_restart_have_the_rooms_of_others_read_once() {
    for store in open_each().await.expect("the databases for tests open") {
        let house = House::on(store.clone());
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        let row = alice.room(&room).await.meta.row;
        for person in [&alice, &bob] {
            let done = (person.engine).set_presence(&person.requester, PresenceState::Busy, None);
            done.unwrap();
        }
        let (presence, rooms) = (&house.engine.context.presence, [row].into());
        let look = || presence.near(Among::Present, &bob.requester.user_id, &rooms);
        let before = store.reads();
        for near in join_all((0..20).map(|_| look())).await {
            assert_eq!(near.unwrap().len(), 2, "alice, who is in the room, and bob");
        }
        assert_eq!(store.reads() - before, 1);
    }
}
