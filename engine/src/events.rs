//! Events in memory: a bounded cache over the stored ones.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter, sync::Cache};
use spec::event::Event;
use storage::{
    EventRow, Position, SnapshotRow, Store, Write, events,
    timeline::Spot,
    write::{Outcome, Txn, Unwritten},
};

use crate::{Error, Result, room_meta::RoomMetas};

/// How many bytes of event JSON the cache may hold; parsed, they take some four times as much.
const JSON_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// An event, and what the server knows of it.
#[derive(Clone, Debug)]
pub(crate) struct KnownEvent {
    pub(crate) row: EventRow,
    pub(crate) event: Arc<Event>,
    pub(crate) outcome: Outcome,
    /// The state before the event.
    pub(crate) snapshot: Option<SnapshotRow>,
    /// For a state event: the one whose place it took.
    pub(crate) replaces: Option<EventRow>,
    /// The redaction that emptied it.
    pub(crate) redacted_by: Option<EventRow>,
    /// Under which transaction of which device it was sent.
    pub(crate) txn: Option<Txn>,
    /// Its length as JSON, in bytes.
    pub(crate) json_bytes: usize,
    /// The write that brings it, or this form of it, to the database.
    pub(crate) unwritten: Unwritten,
}

/// An event with its place in the room's timeline.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) spot: Spot,
    pub(crate) known: Arc<KnownEvent>,
    /// Whether events right before it were missing when it came.
    pub(crate) gap: bool,
}

impl Placed {
    /// An event that was news at `position`.
    pub(crate) fn news(position: Position, known: Arc<KnownEvent>) -> Self {
        let spot = Spot::news(position);
        Self {
            spot,
            known,
            gap: false,
        }
    }

    /// The position right before it.
    pub(crate) fn before(&self) -> Position {
        Position(self.spot.anchor.get() - 1)
    }
}

impl std::ops::Deref for Placed {
    type Target = KnownEvent;

    fn deref(&self) -> &KnownEvent {
        &self.known
    }
}

/// Events by row.
pub(crate) struct Events {
    store: Store,
    cache: Cache<EventRow, Arc<KnownEvent>, ByBytes, DefaultHashBuilder, UntilWritten>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<EventRow, Arc<KnownEvent>> for ByBytes {
    fn weight(&self, _: &EventRow, known: &Arc<KnownEvent>) -> u64 {
        known.json_bytes as u64 + 256
    }
}

/// Keeps events that are nowhere else yet.
#[derive(Clone)]
struct UntilWritten;

impl Lifecycle<EventRow, Arc<KnownEvent>> for UntilWritten {
    type RequestState = ();

    fn is_pinned(&self, _: &EventRow, known: &Arc<KnownEvent>) -> bool {
        known.unwritten.is_waiting()
    }
}

impl Events {
    pub(crate) fn new(store: Store) -> Self {
        let hasher = DefaultHashBuilder::default();
        Self {
            store,
            cache: Cache::with(8_192, JSON_BYTES_MAX, ByBytes, hasher, UntilWritten),
        }
    }

    /// The event of `row`, which must be stored.
    pub(crate) async fn get(&self, metas: &RoomMetas, row: EventRow) -> Result<Arc<KnownEvent>> {
        Ok(self.get_many(metas, &[row]).await?.remove(0))
    }

    /// The events of `rows`, in order; all must be stored. One query for those that are not in memory.
    pub(crate) async fn get_many(
        &self,
        metas: &RoomMetas,
        rows: &[EventRow],
    ) -> Result<Vec<Arc<KnownEvent>>> {
        let found = self.found(metas, rows).await?;
        rows.iter()
            .map(|row| {
                let known = found.get(row).cloned();
                known.ok_or_else(|| Error::Internal(format!("event row {row} is not stored")))
            })
            .collect()
    }

    /// Those of `rows` that are still stored, in order. Otherwise as [`Events::get_many`].
    pub(crate) async fn find_many(
        &self,
        metas: &RoomMetas,
        rows: &[EventRow],
    ) -> Result<Vec<Arc<KnownEvent>>> {
        let found = self.found(metas, rows).await?;
        Ok(rows
            .iter()
            .filter_map(|row| found.get(row).cloned())
            .collect())
    }

    /// Reads into memory, in one query, what is shown with these events: those that emptied them.
    pub(crate) async fn warm(
        &self,
        metas: &RoomMetas,
        known: impl IntoIterator<Item = &KnownEvent>,
    ) -> Result<()> {
        let known = known.into_iter();
        let rows: BTreeSet<EventRow> = known
            .filter_map(|known| known.redacted_by)
            .filter(|row| self.cache.get(row).is_none())
            .collect();
        let rows: Vec<EventRow> = rows.into_iter().collect();
        self.read(metas, &rows, &mut HashMap::new()).await
    }

    async fn found(
        &self,
        metas: &RoomMetas,
        rows: &[EventRow],
    ) -> Result<HashMap<EventRow, Arc<KnownEvent>>> {
        let mut found: HashMap<EventRow, Arc<KnownEvent>> = HashMap::with_capacity(rows.len());
        let mut missing = Vec::new();
        for row in rows {
            match self.cache.get(row) {
                Some(known) => {
                    found.insert(*row, known);
                }
                None => missing.push(*row),
            }
        }
        self.read(metas, &missing, &mut found).await?;
        missing.retain(|row| !found.contains_key(row));
        if !missing.is_empty() {
            // What is in the database, but not for a reader that began before its commit, is found after it.
            self.store.write(Write::default()).await?;
            self.read(metas, &missing, &mut found).await?;
        }
        Ok(found)
    }

    async fn read(
        &self,
        metas: &RoomMetas,
        rows: &[EventRow],
        found: &mut HashMap<EventRow, Arc<KnownEvent>>,
    ) -> Result<()> {
        for stored in events::by_rows(self.store.reader(), rows).await? {
            let known = self.remember(metas, stored).await?;
            found.insert(known.row, known);
        }
        Ok(())
    }

    /// Takes what a query read into the cache. An event that is there already stays: it may be newer.
    pub(crate) async fn place(
        &self,
        metas: &RoomMetas,
        stored: Vec<events::StoredEvent>,
    ) -> Result<Vec<Placed>> {
        let mut placed = Vec::with_capacity(stored.len());
        for event in stored {
            let Some(spot) = event.spot() else {
                continue;
            };
            let gap = event.gap.is_some();
            let known = match self.cache.get(&event.id) {
                Some(known) => known,
                None => self.remember(metas, event).await?,
            };
            placed.push(Placed { spot, known, gap });
        }
        Ok(placed)
    }

    /// An event that is in memory.
    pub(crate) fn cached(&self, row: EventRow) -> Option<Arc<KnownEvent>> {
        self.cache.get(&row)
    }

    /// The same for events that need no place in a timeline, in no other order.
    pub(crate) async fn known(
        &self,
        metas: &RoomMetas,
        stored: Vec<events::StoredEvent>,
    ) -> Result<Vec<Arc<KnownEvent>>> {
        let mut known = Vec::with_capacity(stored.len());
        for event in stored {
            known.push(match self.cache.get(&event.id) {
                Some(known) => known,
                None => self.remember(metas, event).await?,
            });
        }
        Ok(known)
    }

    /// Forgets events that are no longer stored.
    pub(crate) fn forget(&self, rows: &[EventRow]) {
        for row in rows {
            self.cache.remove(row);
        }
    }

    /// Remembers an event, or its new form after a redaction.
    pub(crate) fn put(&self, known: Arc<KnownEvent>) {
        self.cache.insert(known.row, known);
    }

    async fn remember(
        &self,
        metas: &RoomMetas,
        stored: events::StoredEvent,
    ) -> Result<Arc<KnownEvent>> {
        let meta = metas.by_row(stored.room).await?;
        let event = stored.parse(meta.version)?;
        let known = Arc::new(KnownEvent {
            row: stored.id,
            event: Arc::new(event),
            outcome: stored.outcome,
            snapshot: stored.snapshot,
            replaces: stored.replaces,
            redacted_by: stored.redacted_by,
            json_bytes: stored.json.len(),
            txn: stored.txn(),
            unwritten: Unwritten::default(),
        });
        // What is there already may be newer than what was read: a redaction may have come between.
        self.cache
            .get_or_insert_with(&known.row, || Ok::<_, Error>(known.clone()))
    }
}
