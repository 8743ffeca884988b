//! Unread counts: `unread_notifications` and `unread_thread_notifications` of a joined room.

use std::collections::BTreeMap;

use ruma::{
    OwnedEventId, UInt,
    api::client::sync::sync_events::{UnreadNotificationsCount, v3::JoinedRoom},
};
use storage::{RoomRow, notifications::MAIN};

use super::{Build, changes::RoomChange};
use crate::{
    Result,
    push::unread::{Count, Tally},
};

impl Build<'_> {
    /// Whether what changed may have changed the user's counts.
    pub(super) fn counts_changed(&self, change: &RoomChange) -> bool {
        let own = |user: &str| user == self.by.user_id.as_str();
        !change.events.is_empty()
            || change.truncated
            || change.receipts.iter().any(|receipt| own(&receipt.user_id))
    }

    /// Sets the counts of a room. No query while they are in memory.
    pub(super) async fn count(&self, built: &mut JoinedRoom, room: RoomRow) -> Result<()> {
        let context = &self.rooms.context;
        let unread = context.unread(&self.by.user_id, &[room]).await?;
        self.fill_counts(built, unread.get(&room).map(AsRef::as_ref));
        Ok(())
    }

    /// Sets the counts of a room: those of threads one by one if the client wants that, else in one sum.
    pub(super) fn fill_counts(&self, built: &mut JoinedRoom, unread: Option<&Tally>) {
        let none = BTreeMap::new();
        let threads = unread.map_or(&none, |unread| &unread.threads);
        let filter = &self.ask.filter.room.timeline;
        if !filter.unread_thread_notifications {
            built.unread_notifications = sum(threads.values());
            return;
        }
        built.unread_notifications = sum(threads.get(MAIN).into_iter());
        built.unread_thread_notifications = threads
            .iter()
            .filter_map(|(root, count)| {
                let root = OwnedEventId::try_from(root.as_str()).ok()?;
                Some((root, sum([count].into_iter())))
            })
            .collect();
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Count>) -> UnreadNotificationsCount {
    let (mut notifications, mut highlights) = (0, 0);
    for count in counts {
        notifications += count.notifications;
        highlights += count.highlights;
    }
    let natural = |count: i64| Some(UInt::new_saturating(u64::try_from(count).unwrap_or(0)));
    let mut sum = UnreadNotificationsCount::new();
    sum.notification_count = natural(notifications);
    sum.highlight_count = natural(highlights);
    sum
}
