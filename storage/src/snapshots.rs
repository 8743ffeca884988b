//! The states of rooms, compactly.

use sea_orm::ConnectionTrait;

use crate::{
    error::Result,
    id::{EventRow, RoomRow, SnapshotRow, StateKeyRow},
    write::NewSnapshot,
};

/// A change of state: the event that now holds the key, or `None` where it has become empty.
pub type Change = (StateKeyRow, Option<EventRow>);

/// A snapshot and the lists that it is made of: what is needed to build the next one on top.
#[derive(Clone, Debug)]
pub struct Lineage {}

impl Lineage {
    /// The lineage of a room without state.
    #[must_use]
    pub fn empty() -> Self {
        Self {}
    }

    /// The snapshot; `None` for a room without state.
    #[must_use]
    pub fn row(&self) -> Option<SnapshotRow> {
        unimplemented!()
    }

    /// The whole state, sorted by key.
    #[must_use]
    pub fn entries(&self) -> Vec<(StateKeyRow, EventRow)> {
        unimplemented!()
    }

    /// Puts `changes` on top: `row` is the resulting snapshot, to be written with what is returned.
    pub fn push(&mut self, room: RoomRow, row: SnapshotRow, changes: &[Change]) -> NewSnapshot {
        let _ = (room, row, changes);
        unimplemented!()
    }
}

/// A snapshot with its lineage. One query, of at most log2(keys) + 1 rows.
///
/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt): it is not stored.
pub async fn lineage(db: &impl ConnectionTrait, snapshot: SnapshotRow) -> Result<Lineage> {
    let _ = (db, snapshot);
    unimplemented!()
}

/// The state of a snapshot, sorted by key. One query, of at most log2(keys) + 1 rows.
///
/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt): it is not stored.
pub async fn load(
    db: &impl ConnectionTrait,
    snapshot: SnapshotRow,
) -> Result<Vec<(StateKeyRow, EventRow)>> {
    Ok(lineage(db, snapshot).await?.entries())
}
