//! The states of rooms, compactly.
//!
//! A snapshot is a list of changes on top of its parent's, or a full list. Each list is at least
//! twice as long as the one on top of it: a new one takes in those below it for which that would
//! not hold, and becomes a full list where that reaches the bottom. So a state of N keys is read
//! from at most log2(N) + 1 rows, and M changes take up some M x log2(N) entries, never M x N.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

pub use crate::packed::Change;
use crate::{
    entity::snapshot,
    error::{Error, Result},
    id::{EventRow, RoomRow, SnapshotRow, StateKeyRow},
    packed::{pack_changes, unpack_changes},
    padded::padded,
    write::NewSnapshot,
};

/// A snapshot and those below it, the full list first. That `chain` goes down ends it even where
/// the rows are damaged.
const LISTS: &str = "\
    WITH RECURSIVE lists AS ( \
        SELECT id, room, parent, chain, entries FROM snapshots WHERE id = $1 \
        UNION ALL \
        SELECT s.id, s.room, s.parent, s.chain, s.entries FROM snapshots s \
        JOIN lists ON s.id = lists.parent AND s.chain < lists.chain \
    ) SELECT id, room, parent, chain, entries FROM lists ORDER BY chain";

/// Some snapshots and all those below them, each once.
const LISTS_OF_MANY: &str = "\
    WITH RECURSIVE lists (id, parent, chain) AS ( \
        SELECT id, parent, chain FROM snapshots WHERE id IN (?) \
        UNION \
        SELECT s.id, s.parent, s.chain FROM snapshots s \
        JOIN lists ON s.id = lists.parent AND s.chain < lists.chain \
    ) SELECT s.id, s.room, s.parent, s.chain, s.entries FROM snapshots s \
    JOIN lists ON s.id = lists.id";

/// A snapshot and the lists that it is made of: what is needed to build the next one on top.
///
/// Takes some five bytes a key; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// The full list, then those on top of it.
    lists: Vec<List>,
}

#[derive(Clone, Debug)]
struct List {
    row: SnapshotRow,
    len: usize,
    packed: Arc<[u8]>,
}

impl Lineage {
    /// The lineage of a room without state.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The snapshot; `None` for a room without state.
    #[must_use]
    pub fn row(&self) -> Option<SnapshotRow> {
        self.lists.last().map(|list| list.row)
    }

    /// The whole state, sorted by key.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: a list is damaged.
    pub fn entries(&self) -> Result<Vec<(StateKeyRow, EventRow)>> {
        // From the top: each list is longer than all above it, so this is linear in the longest.
        let mut changes = Vec::new();
        for list in self.lists.iter().rev() {
            changes = overlay(&unpack_changes(&list.packed)?, &changes);
        }
        Ok(changes
            .into_iter()
            .filter_map(|(key, event)| Some((key, event?)))
            .collect())
    }

    /// Puts `changes` on top: `row` is the resulting snapshot, to be written as what is returned.
    ///
    /// `changes` may come in any order, but has each key once. Takes time in proportion to the
    /// changes, on average.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: a list is damaged; the lineage is as before.
    pub fn push(
        &mut self,
        room: RoomRow,
        row: SnapshotRow,
        changes: &[Change],
    ) -> Result<NewSnapshot> {
        let mut top = changes.to_vec();
        top.sort_unstable_by_key(|(key, _)| *key);
        let mut below = self.lists.len();
        while let Some(list) = below.checked_sub(1).map(|last| &self.lists[last])
            && list.len < 2 * top.len().max(1)
        {
            top = overlay(&unpack_changes(&list.packed)?, &top);
            below -= 1;
        }
        if below == 0 {
            top.retain(|(_, event)| event.is_some());
        }
        self.lists.truncate(below);
        let parent = self.row();
        let packed = pack_changes(&top);
        self.lists.push(List {
            row,
            len: top.len(),
            packed: packed.as_slice().into(),
        });
        let chain = i32::try_from(below).expect("a chain is short");
        Ok(NewSnapshot {
            row,
            room,
            parent,
            chain,
            entries: packed,
        })
    }
}

/// `below` with the changes of `above` made; both sorted by key, as is the result.
fn overlay(below: &[Change], above: &[Change]) -> Vec<Change> {
    let mut out = Vec::with_capacity(below.len() + above.len());
    let (mut low, mut high) = (below.iter().peekable(), above.iter().peekable());
    while let (Some(old), Some(new)) = (low.peek(), high.peek()) {
        match old.0.cmp(&new.0) {
            Ordering::Less => out.extend(low.next().copied()),
            Ordering::Equal => {
                low.next();
            }
            Ordering::Greater => out.extend(high.next().copied()),
        }
    }
    out.extend(low.copied());
    out.extend(high.copied());
    out
}

/// A snapshot with its lineage. One query, of at most log2(keys) + 1 rows.
///
/// # Errors
/// [`Error::Corrupt`]: it is not stored, or not as a whole.
pub async fn lineage(db: &impl ConnectionTrait, snapshot: SnapshotRow) -> Result<Lineage> {
    let backend = db.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, LISTS, [snapshot.into()]);
    let rows = db.query_all_raw(statement).await?;
    let mut lists = Vec::with_capacity(rows.len());
    for row in &rows {
        let model = snapshot::Model::from_query_result(row, "")?;
        let len = unpack_changes(&model.entries)?.len();
        lists.push((
            model.parent,
            List {
                row: model.id,
                len,
                packed: model.entries.into(),
            },
        ));
    }
    if lists.first().is_none_or(|(parent, _)| parent.is_some()) {
        return Err(Error::Corrupt(format!(
            "state snapshot {snapshot} is not there as a whole"
        )));
    }
    Ok(Lineage {
        lists: lists.into_iter().map(|(_, list)| list).collect(),
    })
}

/// The state of a snapshot, sorted by key. One query, of at most log2(keys) + 1 rows.
///
/// # Errors
/// [`Error::Corrupt`]: it is not stored, or not as a whole.
pub async fn load(
    db: &impl ConnectionTrait,
    snapshot: SnapshotRow,
) -> Result<Vec<(StateKeyRow, EventRow)>> {
    lineage(db, snapshot).await?.entries()
}

/// For each of these snapshots, the events that hold `keys` in it, in the order of the keys. One query for 256 snapshots:
/// lists that they have in common are read once.
///
/// # Errors
/// [`Error::Corrupt`]: one is not stored, or not as a whole.
pub async fn lookup(
    db: &impl ConnectionTrait,
    snapshots: &[SnapshotRow],
    keys: &[StateKeyRow],
) -> Result<HashMap<SnapshotRow, Vec<Option<EventRow>>>> {
    let mut lists = HashMap::new();
    let backend = db.get_database_backend();
    for chunk in padded(snapshots) {
        let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = LISTS_OF_MANY.replace('?', &places.join(", "));
        let values = chunk.into_iter().map(Into::into);
        let statement = Statement::from_sql_and_values(backend, sql, values);
        for row in &db.query_all_raw(statement).await? {
            let model = snapshot::Model::from_query_result(row, "")?;
            let changes = unpack_changes(&model.entries)?;
            lists.insert(model.id, (model.parent, changes));
        }
    }
    let find = |snapshot: SnapshotRow, key: StateKeyRow| -> Result<Option<EventRow>> {
        let mut at = Some(snapshot);
        // A chain of parents has no circle as long as each list is looked at once.
        for _ in 0..=lists.len() {
            let Some(row) = at else {
                return Ok(None);
            };
            let (parent, changes) = lists.get(&row).ok_or_else(|| {
                Error::Corrupt(format!("state snapshot {row} is not there as a whole"))
            })?;
            if let Ok(index) = changes.binary_search_by_key(&key, |(key, _)| *key) {
                return Ok(changes[index].1);
            }
            at = *parent;
        }
        Ok(None)
    };
    snapshots
        .iter()
        .map(|snapshot| {
            let events = keys.iter().map(|key| find(*snapshot, *key));
            Ok((*snapshot, events.collect::<Result<_>>()?))
        })
        .collect()
}
