//! Row ids given out in memory, before their rows are written.
//!
//! The database keeps for each kind the end of a block that was reserved ("hi"); within it the ids
//! are counted in memory ("lo"). The writer moves the end along in the same transaction that first
//! uses an id beyond it, so an id of a committed row is never given out again.

use std::sync::atomic::{AtomicI64, Ordering};

use sea_orm::{ConnectionTrait, EntityTrait};

use crate::{
    entity::counter,
    error::Result,
    id::{EventRow, RoomRow, SnapshotRow, StateKeyRow},
};

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
    /// Continues behind what was ever reserved.
    pub(crate) async fn open(db: &impl ConnectionTrait) -> Result<Self> {
        Ok(Self {
            events: Allocator::open(db, "event_row").await?,
            rooms: Allocator::open(db, "room_row").await?,
            snapshots: Allocator::open(db, "snapshot_row").await?,
            state_keys: Allocator::open(db, "state_key_row").await?,
            refresh_tokens: Allocator::open(db, "refresh_token_row").await?,
        })
    }

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

    /// The blocks that the next commit must reserve: ids beyond the old ones may be in it.
    ///
    /// Call it after the batch has been taken from the queue, and [`Ids::reserved`] once committed.
    pub(crate) fn to_reserve(&self) -> Vec<counter::Model> {
        self.all()
            .into_iter()
            .filter_map(Allocator::to_reserve)
            .collect()
    }

    /// The blocks are in the database.
    pub(crate) fn reserved(&self, blocks: &[counter::Model]) {
        for block in blocks {
            for allocator in self.all() {
                if allocator.name == block.name {
                    allocator.reserved.store(block.value, Ordering::Relaxed);
                }
            }
        }
    }

    fn all(&self) -> [&Allocator; 5] {
        [
            &self.events,
            &self.rooms,
            &self.snapshots,
            &self.state_keys,
            &self.refresh_tokens,
        ]
    }
}

/// One kind of id.
#[derive(Debug)]
struct Allocator {
    name: &'static str,
    /// The last id given out.
    last: AtomicI64,
    /// The end of the block that the database has.
    reserved: AtomicI64,
}

impl Allocator {
    async fn open(db: &impl ConnectionTrait, name: &'static str) -> Result<Self> {
        let stored = counter::Entity::find_by_id(name.to_owned()).one(db).await?;
        let end = stored.map_or(0, |counter| counter.value);
        Ok(Self {
            name,
            last: AtomicI64::new(end),
            reserved: AtomicI64::new(end),
        })
    }

    fn next(&self) -> i64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn to_reserve(&self) -> Option<counter::Model> {
        let last = self.last.load(Ordering::Relaxed);
        (last > self.reserved.load(Ordering::Relaxed)).then(|| counter::Model {
            name: self.name.to_owned(),
            value: last + BLOCK,
        })
    }
}
