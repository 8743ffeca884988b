//! Whom to ask for history, and what is remembered of that.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use storage::{EventRow, RoomRow, members};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::SERVERS_MAX;
use crate::{Result, events::KnownEvent, rooms::RoomHandle};

/// Of how many rooms is remembered who answered, and of how many gaps that nobody has what is missing there.
const REMEMBERED_MAX: usize = 10_000;
/// After so long a gap that nobody could fill is tried again, in ms.
const GIVEN_UP_MS: i64 = 10 * 60 * 1_000;

/// What is remembered of the fetching of history. All of it may be forgotten.
pub(crate) struct Backfills {
    busy: Mutex<HashMap<RoomRow, Arc<Turn<()>>>>,
    answered: Cache<RoomRow, OwnedServerName>,
    given_up: Cache<EventRow, i64>,
}

impl Default for Backfills {
    fn default() -> Self {
        Self {
            busy: Mutex::default(),
            answered: Cache::new(REMEMBERED_MAX),
            given_up: Cache::new(REMEMBERED_MAX),
        }
    }
}

impl Backfills {
    /// Waits until nobody else fetches history of the room, and keeps others away until the guard is dropped.
    pub(super) async fn turn(&self, room: RoomRow) -> OwnedMutexGuard<()> {
        let turn = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits or works has a clone.
            busy.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(busy.entry(room).or_default())
        };
        turn.lock_owned().await
    }

    pub(super) fn answered(&self, room: RoomRow, server: &ServerName) {
        self.answered.insert(room, server.to_owned());
    }

    pub(super) fn give_up(&self, gap: EventRow, now_ms: i64) {
        self.given_up
            .insert(gap, now_ms.saturating_add(GIVEN_UP_MS));
    }

    pub(super) fn is_given_up(&self, gap: EventRow, now_ms: i64) -> bool {
        self.given_up.get(&gap).is_some_and(|until| now_ms < until)
    }
}

impl RoomHandle {
    /// The servers that are likely to have what came before some events, the likeliest first: who answered last, who
    /// sent the events, who has most users in the room; last those that could not be reached lately.
    pub(in crate::remote) async fn likely_servers(
        &self,
        children: &[Arc<KnownEvent>],
    ) -> Result<Vec<OwnedServerName>> {
        let db = self.context.store.reader();
        let mut largest = members::servers_counted(db, self.meta.row).await?;
        largest.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        let candidates = self
            .context
            .backfills
            .answered
            .get(&self.meta.row)
            .into_iter()
            .chain(
                children
                    .iter()
                    .map(|known| known.event.sender().server_name().to_owned()),
            )
            .chain(
                largest
                    .into_iter()
                    .filter_map(|(server, _)| ServerName::parse(server).ok()),
            );
        let peers = self.peers().ok();
        let mut seen = HashSet::from([self.context.server_name.clone()]);
        let (mut servers, mut resting) = (Vec::new(), Vec::new());
        for server in candidates {
            if servers.len() == SERVERS_MAX {
                break;
            }
            if !seen.insert(server.clone()) {
                continue;
            }
            match peers.is_some_and(|peers| peers.is_resting(&server)) {
                true => resting.push(server),
                false => servers.push(server),
            }
        }
        servers.extend(resting);
        servers.truncate(SERVERS_MAX);
        Ok(servers)
    }
}
