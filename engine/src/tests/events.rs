//! The cache of events.

use std::sync::Arc;

use storage::{EventRow, members, testing::open_each, write::UnderWay};

use super::fixture::House;
use crate::{Preset, events::KnownEvent};

/// Enough events of a KiB to push everything else out of the cache several times.
const MANY: i64 = 50_000;

#[tokio::test]
async fn an_event_stays_in_memory_until_it_is_written() {
    for store in open_each().await.expect("the databases for tests open") {
        let house = House::on(store.clone());
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Public).await;
        let context = &house.engine.context;
        let (handle, events) = (alice.room(&room).await, &context.events);
        let own = members::one(store.reader(), handle.meta.row, &alice.requester.user_id);
        let own = own.await.unwrap().unwrap().event;
        let own = events.get(&context.metas, own).await.unwrap();
        let under_way = UnderWay::default();
        let like = |row: i64, under_way: &UnderWay| {
            Arc::new(KnownEvent {
                row: EventRow(row),
                json_bytes: 1_024,
                unwritten: under_way.watch(),
                ..own.as_ref().clone()
            })
        };
        let flood = |first: i64| {
            for row in first..first + MANY {
                events.put(like(row, &UnderWay::default()));
            }
        };
        let row = EventRow(1_000_000);
        events.put(like(row.0, &under_way));
        flood(2_000_000);
        assert!(events.cached(row).is_some(), "only the cache has it");
        let kept =
            (2_000_000..2_000_000 + MANY).filter(|row| events.cached(EventRow(*row)).is_some());
        assert!((kept.count() as i64) < MANY / 2, "the cache has a bound");
    }
}
