//! Row ids given out in memory, before their rows are written.
//!
//! The database keeps for each kind the end of a block that was reserved ("hi"); within it the ids
//! are counted in memory ("lo"). The writer moves the end along in the same transaction that first
//! uses an id beyond it, so an id of a committed row is never given out again.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::id::{EventRow, RoomRow, SnapshotRow, StateKeyRow};

/// How many ids are reserved at a time: after a crash at most so many are skipped.
const BLOCK: i64 = 4_096;

/// The next row ids. Only one process may use a database, or ids would meet.
#[derive(Debug)]
pub struct Ids {
    events: Allocator,
    rooms: Allocator,
    snapshots: Allocator,
    state_keys: Allocator,
    refresh_tokens: Allocator,
}

impl Ids {
    /// An unused event id.
    pub fn next_event(&self) -> EventRow {
        EventRow(self.events.next())
    }

    /// An unused room id.
    pub fn next_room(&self) -> RoomRow {
        RoomRow(self.rooms.next())
    }

    /// An unused snapshot id.
    pub fn next_snapshot(&self) -> SnapshotRow {
        SnapshotRow(self.snapshots.next())
    }

    /// An unused refresh token id.
    pub fn next_refresh_token(&self) -> i64 {
        self.refresh_tokens.next()
    }

    pub(crate) fn next_state_key(&self) -> StateKeyRow {
        StateKeyRow(self.state_keys.next())
    }
}

/// One kind of id.
#[derive(Debug)]
struct Allocator {
    last: AtomicI64,
}

impl Allocator {
    fn next(&self) -> i64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}
