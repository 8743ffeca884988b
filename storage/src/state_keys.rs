//! Pairs of event type and state key as integers.
//!
//! A new pair gets its number in memory. Its row travels with every write that uses the number
//! until the writer has confirmed that one of them is committed: which write comes first, and
//! whether it fails, does not matter then.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::sync::Cache;
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, EntityTrait, QueryFilter, sea_query::ExprTrait,
};

use crate::{
    entity::state_key,
    error::{Error, Result},
    id::StateKeyRow,
    ids::Ids,
    write::{NewStateKey, Plain},
};

/// How many pairs are kept in memory: some ten megabytes at most, with user IDs as state keys.
const CACHE_MAX: usize = 50_000;

/// How many new pairs may wait for their first commit. Beyond it they are forgotten and given new
/// numbers; a write that comes too late with an old one fails with a conflict.
const PENDING_MAX: usize = 100_000;

/// How many pairs are asked for in one query: bounds the length of its text.
const QUERY_MAX: usize = 100;

/// Event type and state key.
type Pair = Arc<(Box<str>, Box<str>)>;

/// Turns pairs of event type and state key into integers and back.
pub struct StateKeys {
    reader: DatabaseConnection,
    ids: Arc<Ids>,
    rows: Cache<Pair, StateKeyRow>,
    pairs: Cache<StateKeyRow, Pair>,
    /// Given a number, but not yet known to be stored.
    pending: Mutex<HashMap<Pair, StateKeyRow>>,
}

/// The integers of some pairs.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// In the order of the question.
    pub rows: Vec<StateKeyRow>,
    /// Must be part of the write that uses the rows; empty if all of them are stored.
    pub inserts: Vec<Plain>,
}

impl StateKeys {
    pub(crate) fn new(reader: DatabaseConnection, ids: Arc<Ids>) -> Self {
        Self {
            reader,
            ids,
            rows: Cache::new(CACHE_MAX),
            pairs: Cache::new(CACHE_MAX),
            pending: Mutex::default(),
        }
    }

    /// The integers of `pairs` (event type, state key), in order; unknown ones are given new ones.
    ///
    /// One query for a hundred that are not in memory. Ask only for what is going to be written.
    pub async fn resolve(&self, pairs: &[(&str, &str)]) -> Result<Resolved> {
        let pairs: Vec<Pair> = pairs.iter().map(pair).collect();
        self.learn(&pairs).await?;
        let mut resolved = Resolved::default();
        let mut pending = self.pending();
        for pair in pairs {
            // What is confirmed moves from `pending` to the cache under the lock held here.
            if let Some(row) = self.rows.get(&pair) {
                resolved.rows.push(row);
                continue;
            }
            if pending.len() >= PENDING_MAX {
                pending.clear();
            }
            let row = *pending
                .entry(Arc::clone(&pair))
                .or_insert_with(|| self.ids.next_state_key());
            resolved.rows.push(row);
            resolved.inserts.push(Plain::StateKey(NewStateKey {
                id: row,
                event_type: pair.0.to_string(),
                state_key: pair.1.to_string(),
            }));
        }
        Ok(resolved)
    }

    /// The integers of `pairs` (event type, state key), in order; `None` where no state has one.
    ///
    /// One query for a hundred that are not in memory.
    pub async fn find(&self, pairs: &[(&str, &str)]) -> Result<Vec<Option<StateKeyRow>>> {
        let pairs: Vec<Pair> = pairs.iter().map(pair).collect();
        self.learn(&pairs).await?;
        Ok(pairs.iter().map(|pair| self.row(pair)).collect())
    }

    /// The pairs (event type, state key) of `rows`, in order.
    ///
    /// One query for a hundred that are not in memory.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: one of them is neither stored nor about to be.
    pub async fn names(&self, rows: &[StateKeyRow]) -> Result<Vec<(String, String)>> {
        let mut names: HashMap<StateKeyRow, Pair> = rows
            .iter()
            .filter_map(|row| Some((*row, self.pairs.get(row)?)))
            .collect();
        let mut missing: HashSet<StateKeyRow> = rows.iter().copied().collect();
        missing.retain(|row| !names.contains_key(row));
        if !missing.is_empty() {
            // Before the store: what is confirmed meanwhile is found there.
            let pending = self.pending();
            let known = pending.iter().filter(|(_, row)| missing.contains(row));
            names.extend(known.map(|(pair, row)| (*row, Arc::clone(pair))));
        }
        missing.retain(|row| !names.contains_key(row));
        let missing: Vec<_> = missing.into_iter().collect();
        for chunk in missing.chunks(QUERY_MAX) {
            let wanted = state_key::Column::Id.is_in(chunk.iter().copied());
            for model in state_key::Entity::find()
                .filter(wanted)
                .all(&self.reader)
                .await?
            {
                names.insert(model.id, self.remember(model.id, pair_of(&model)));
            }
        }
        rows.iter()
            .map(|row| {
                let pair = names
                    .get(row)
                    .ok_or_else(|| Error::Corrupt(format!("state key {row} is not stored")))?;
                Ok((pair.0.to_string(), pair.1.to_string()))
            })
            .collect()
    }

    /// The pairs are committed.
    pub(crate) fn confirm(&self, keys: &[state_key::Model]) {
        if keys.is_empty() {
            return;
        }
        let mut pending = self.pending();
        for key in keys {
            let pair = self.remember(key.id, pair_of(key));
            pending.remove(&pair);
        }
    }

    /// Reads into the cache those of `pairs` that are stored but not in memory.
    async fn learn(&self, pairs: &[Pair]) -> Result<()> {
        let missing: Vec<_> = pairs
            .iter()
            .filter(|pair| self.row(pair).is_none())
            .collect();
        for chunk in missing.chunks(QUERY_MAX) {
            let mut wanted = Condition::any();
            for pair in chunk {
                let event_type = state_key::Column::EventType.eq(&*pair.0);
                wanted = wanted.add(event_type.and(state_key::Column::StateKey.eq(&*pair.1)));
            }
            for model in state_key::Entity::find()
                .filter(wanted)
                .all(&self.reader)
                .await?
            {
                self.remember(model.id, pair_of(&model));
            }
        }
        Ok(())
    }

    fn row(&self, pair: &Pair) -> Option<StateKeyRow> {
        self.rows
            .get(pair)
            .or_else(|| self.pending().get(pair).copied())
    }

    fn remember(&self, row: StateKeyRow, pair: Pair) -> Pair {
        self.rows.insert(Arc::clone(&pair), row);
        self.pairs.insert(row, Arc::clone(&pair));
        pair
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Pair, StateKeyRow>> {
        // A panic cannot leave the map half changed.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair((event_type, state_key): &(&str, &str)) -> Pair {
    Arc::new(((*event_type).into(), (*state_key).into()))
}

fn pair_of(model: &state_key::Model) -> Pair {
    pair(&(&model.event_type, &model.state_key))
}
