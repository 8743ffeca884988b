//! What a sync costs the database: nothing, as long as all that is new is in memory.

use std::time::Duration;

use storage::testing::open_each;

use super::fixture::{House, bodies};
use crate::{Preset, ReceiptThread, SyncAsk};

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
            let before = store.reads();
            let ask = SyncAsk {
                since: Some(since.clone()),
                ..SyncAsk::default()
            };
            let sync = bob.engine.sync(&bob.requester, &ask).await.unwrap();
            let reads = store.reads() - before;
            assert_eq!(sync.rooms.join.len(), rooms.len());
            assert_eq!(bodies(&sync, &rooms[1]), ["hello"]);
            let unread = &sync.rooms.join[&rooms[1]].unread_notifications;
            assert_eq!(unread.notification_count, Some((round + 1_u32).into()));
            assert!(!sync.rooms.join[&rooms[0]].ephemeral.is_empty());
            assert!(round == 0 || reads == 0, "{reads} statements");
            since = sync.next_batch;
        }
        assert!(store.reads() > 0, "statements are counted");
    }
}
