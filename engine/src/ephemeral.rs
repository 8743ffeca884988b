//! What lives in memory only and is told to clients and other servers: who types, who is there.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// Counts the changes of all that lives in memory only. A sync token carries the number that the client has seen.
///
/// It starts from the clock at each start of the server, so that it never runs backwards.
pub(crate) struct Ephemeral {
    counter: AtomicI64,
    /// Something of a user of this server has changed.
    pub(crate) changed: Notify,
}

impl Ephemeral {
    pub(crate) fn starting_at(now_ms: i64) -> Self {
        Self {
            counter: AtomicI64::new(now_ms),
            changed: Notify::new(),
        }
    }

    /// The number of the last change. Whoever reads it and then looks into a table sees all changes up to it.
    pub(crate) fn last(&self) -> i64 {
        self.counter.load(Ordering::Acquire)
    }

    /// A number for a change. To be taken under the lock of the table that is changed.
    pub(crate) fn next(&self) -> i64 {
        self.counter.fetch_add(1, Ordering::AcqRel) + 1
    }
}
