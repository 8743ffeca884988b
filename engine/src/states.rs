//! The states of rooms: snapshots of the store as maps in memory.
//!
//! Snapshots never change, so that a cache of them is never wrong. The maps share structure: the states of one room
//! before and after a change differ by one path.

use std::collections::{BTreeSet, HashMap};

use imbl::OrdMap;
use quick_cache::{Weighter, sync::Cache};
use storage::{EventRow, SnapshotRow, StateKeyRow, Store, snapshots};

use crate::Result;

/// The state of a room: which event holds which type and state key.
pub(crate) type StateMap = OrdMap<StateKeyRow, EventRow>;

/// How many state entries the cache may hold, counted as if nothing was shared: at most some 32 MiB.
const ENTRIES_MAX: u64 = 1_000_000;

/// Snapshots by row.
pub(crate) struct States {
    store: Store,
    cache: Cache<SnapshotRow, StateMap, ByLength>,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<SnapshotRow, StateMap> for ByLength {
    fn weight(&self, _: &SnapshotRow, state: &StateMap) -> u64 {
        state.len() as u64 + 8
    }
}

impl States {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            cache: Cache::with_weighter(4_096, ENTRIES_MAX, ByLength),
        }
    }

    /// The state of `snapshot`; the empty state for `None`. One query unless it is in memory.
    pub(crate) async fn get(&self, snapshot: Option<SnapshotRow>) -> Result<StateMap> {
        let Some(row) = snapshot else {
            return Ok(StateMap::new());
        };
        if let Some(state) = self.cache.get(&row) {
            return Ok(state);
        }
        let state: StateMap = snapshots::load(self.store.reader(), row)
            .await?
            .into_iter()
            .collect();
        self.cache.insert(row, state.clone());
        Ok(state)
    }

    /// The state of `snapshot`, if it is in memory.
    pub(crate) fn known(&self, snapshot: SnapshotRow) -> Option<StateMap> {
        self.cache.get(&snapshot)
    }

    /// For each of these snapshots, the events that hold `keys` in it, in the order of the keys. One query for 256
    /// snapshots that are not in memory; the states themselves are not built.
    pub(crate) async fn lookup(
        &self,
        snapshots: impl IntoIterator<Item = SnapshotRow>,
        keys: &[StateKeyRow],
    ) -> Result<HashMap<SnapshotRow, Vec<Option<EventRow>>>> {
        let mut found = HashMap::new();
        let mut missing = BTreeSet::new();
        for row in snapshots {
            if let Some(state) = self.cache.get(&row) {
                let events = keys.iter().map(|key| state.get(key).copied());
                found.insert(row, events.collect());
            } else {
                missing.insert(row);
            }
        }
        let missing: Vec<SnapshotRow> = missing.into_iter().collect();
        found.extend(snapshots::lookup(self.store.reader(), &missing, keys).await?);
        Ok(found)
    }

    /// Remembers a state that was just made, so that nobody reads it from the database.
    pub(crate) fn put(&self, snapshot: SnapshotRow, state: StateMap) {
        self.cache.insert(snapshot, state);
    }
}
