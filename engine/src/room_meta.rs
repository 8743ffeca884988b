//! What never changes about a room: its row, its id and, once this server has been in it, its version.

use std::{collections::BTreeSet, sync::Arc};

use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, RoomId};
use spec::room_version::RoomVersion;
use storage::{RoomRow, Store, rooms};
use tokio::sync::OnceCell;

use crate::{Error, Result, Subject};

/// How many rooms are remembered.
const ROOMS_MAX: usize = 20_000;

/// What never changes about a room.
#[derive(Debug)]
pub(crate) struct RoomMeta {
    pub(crate) row: RoomRow,
    pub(crate) id: OwnedRoomId,
    pub(crate) version: &'static RoomVersion,
}

/// The rooms that this server knows, by id and by row.
pub(crate) struct RoomMetas {
    store: Store,
    by_id: Cache<OwnedRoomId, Arc<RoomMeta>>,
    by_row: Cache<RoomRow, Arc<RoomMeta>>,
    unreadable: OnceCell<BTreeSet<RoomRow>>,
}

impl RoomMetas {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            by_id: Cache::new(ROOMS_MAX),
            by_row: Cache::new(ROOMS_MAX),
            unreadable: OnceCell::new(),
        }
    }

    /// The room with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server has no such room.
    pub(crate) async fn by_id(&self, id: &RoomId) -> Result<Arc<RoomMeta>> {
        if let Some(meta) = self.by_id.get(id) {
            return Ok(meta);
        }
        let row = rooms::by_id(self.store.reader(), id)
            .await?
            .ok_or(Error::NotFound(Subject::Room))?;
        self.remember(&row)
    }

    /// Of these rooms those that this server has, in no order. One query for 256 that are not in memory.
    pub(crate) async fn by_ids(&self, ids: &[OwnedRoomId]) -> Result<Vec<Arc<RoomMeta>>> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match self.by_id.get(id) {
                Some(meta) => found.push(meta),
                None => missing.push(id.as_str()),
            }
        }
        for row in rooms::by_ids(self.store.reader(), &missing).await? {
            found.push(self.remember(&row)?);
        }
        Ok(found)
    }

    /// The room of this row, which must exist.
    pub(crate) async fn by_row(&self, row: RoomRow) -> Result<Arc<RoomMeta>> {
        Ok(self.by_rows(&[row]).await?.remove(0))
    }

    /// The rooms of these rows, in order. They must exist. One query for those that are not in memory.
    pub(crate) async fn by_rows(&self, rows: &[RoomRow]) -> Result<Vec<Arc<RoomMeta>>> {
        let missing: Vec<RoomRow> = rows
            .iter()
            .copied()
            .filter(|row| self.by_row.get(row).is_none())
            .collect();
        let mut read = std::collections::HashMap::new();
        if !missing.is_empty() {
            for room in rooms::by_rows(self.store.reader(), &missing).await? {
                read.insert(room.id, self.remember(&room)?);
            }
        }
        let find = |row: &RoomRow| read.get(row).cloned().or_else(|| self.by_row.get(row));
        rows.iter()
            .map(|row| {
                find(row).ok_or_else(|| Error::Internal(format!("room row {row} is not stored")))
            })
            .collect()
    }

    /// The rooms of versions that this server does not know, as it may have after going back to an older release. There come
    /// no others while it runs. One query, the first time.
    pub(crate) async fn unreadable(&self) -> Result<&BTreeSet<RoomRow>> {
        let read = || async {
            let known: Vec<&str> = RoomVersion::supported().map(RoomVersion::id).collect();
            let rows = rooms::of_other_versions(self.store.reader(), &known).await?;
            if !rows.is_empty() {
                let count = rows.len();
                tracing::warn!(count, "rooms of unknown versions are left out of syncs");
            }
            Ok::<_, Error>(rows.into_iter().collect())
        };
        self.unreadable.get_or_try_init(read).await
    }

    /// Forgets a room that has another name or version now, or none.
    pub(crate) fn forget(&self, row: RoomRow) {
        if let Some((_, meta)) = self.by_row.remove(&row) {
            self.by_id.remove(&meta.id);
        }
    }

    fn remember(&self, room: &rooms::StoredRoom) -> Result<Arc<RoomMeta>> {
        let version = RoomVersion::get(&room.version).ok_or_else(|| {
            Error::Internal(format!(
                "{} has the unknown version {}",
                room.room_id, room.version
            ))
        })?;
        let id = RoomId::parse(&room.room_id).map_err(|error| {
            Error::Internal(format!("the stored room id {}: {error}", room.room_id))
        })?;
        let meta = Arc::new(RoomMeta {
            row: room.id,
            id,
            version,
        });
        self.by_id.insert(meta.id.clone(), meta.clone());
        self.by_row.insert(meta.row, meta.clone());
        Ok(meta)
    }
}
