//! The latest sends of a room, so that a repeated request does not become a second event while the first one is still on
//! its way to the disk. Older ones are found in the store.

use std::collections::{HashMap, VecDeque};

use ruma::OwnedEventId;
use storage::write::Txn;

/// How many sends are remembered. It must exceed the room's mailbox: a request that found nothing in the store waits
/// behind at most that many.
const RECENT_SENDS_MAX: usize = 1_024;

/// The sender and their transaction.
type Key = (String, String, String, String);

/// A bounded table of the latest sends.
#[derive(Default)]
pub(super) struct RecentSends {
    by_key: HashMap<Key, OwnedEventId>,
    order: VecDeque<Key>,
}

impl RecentSends {
    /// The event that `txn` of `sender` became.
    pub(super) fn find(&self, sender: &str, txn: &Txn) -> Option<&OwnedEventId> {
        self.by_key.get(&key(sender, txn))
    }

    /// Remembers that `txn` of `sender` became `event`.
    pub(super) fn remember(&mut self, sender: &str, txn: &Txn, event: OwnedEventId) {
        let key = key(sender, txn);
        self.order.push_back(key.clone());
        self.by_key.insert(key, event);
        if self.order.len() > RECENT_SENDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

fn key(sender: &str, txn: &Txn) -> Key {
    (
        sender.to_owned(),
        txn.device.clone(),
        txn.scope.clone(),
        txn.id.clone(),
    )
}
