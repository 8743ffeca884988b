//! A clock that somebody sets, a year forward or back.

use std::time::Duration;

use serde_json::json;

use super::fixture::{bodies, houses};
use crate::Preset;

const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

#[tokio::test]
async fn a_clock_that_is_set_changes_neither_order_nor_waiting() {
    for (house, year) in houses().await.into_iter().flat_map(|house| {
        let house = std::sync::Arc::new(house);
        [(house.clone(), YEAR_MS), (house, -YEAR_MS)]
    }) {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let since = bob.syncs(None).await.next_batch;
        let carol = house.person("carol");
        carol.joins(&room).await.unwrap();
        let handle = carol.room(&room).await;
        handle
            .set_typing(&carol.requester, Some(Duration::from_secs(20)))
            .await
            .unwrap();
        alice.says(&room, "before").await.unwrap();
        house.clock.jump(year);
        alice.says(&room, "after").await.unwrap();
        house.clock.jump(-year);
        alice.says(&room, "again").await.unwrap();
        house.clock.jump(year);

        let sync = bob.syncs(Some(&since)).await;
        assert_eq!(bodies(&sync, &room), ["before", "after", "again"]);
        let typing = |sync: &ruma::api::client::sync::sync_events::v3::Response| {
            let events = sync.rooms.join.get(&room)?.ephemeral.events.last()?;
            let event: serde_json::Value = events.deserialize_as_unchecked().ok()?;
            Some(event["content"]["user_ids"].clone())
        };
        assert_eq!(typing(&sync), Some(json!([carol.requester.user_id])));
        house.engine.context.typing.expire();
        house.clock.advance(19_000);
        house.engine.context.typing.expire();
        let next = bob.syncs(Some(&sync.next_batch)).await;
        assert_eq!(typing(&next), None, "she types still");
        house.clock.advance(2_000);
        house.engine.context.typing.expire();
        let last = bob.syncs(Some(&next.next_batch)).await;
        assert_eq!(typing(&last), Some(json!([])), "it ends in time");
    }
}
