//! What survives a restart: one position for all servers that keep up, and one for each that does not.

use std::{collections::BTreeMap, sync::Arc};

use ruma::OwnedServerName;
use storage::{Plain, Position, Write, outbox};
use tracing::warn;

use super::{
    Inner,
    destination::Destination,
    measure::{self, Standing},
    queue::Queue,
};

/// What was stored last.
#[derive(Default)]
pub(super) struct Kept {
    floor: Option<Position>,
    behind: BTreeMap<OwnedServerName, outbox::Destination>,
}

impl Inner {
    /// Reads what was stored, and returns from where to follow the log. Without anything stored that is its beginning:
    /// nothing was ever sent.
    pub(super) async fn start(self: &Arc<Self>, kept: &mut Kept) -> storage::Result<Position> {
        let db = self.store.reader();
        let floor = outbox::floor(db).await?.unwrap_or(Position::ZERO);
        for stored in outbox::behind(db).await? {
            let Ok(server) = OwnedServerName::try_from(stored.server.as_str()) else {
                continue;
            };
            let failures = u32::try_from(stored.failures).unwrap_or(0);
            // The clock may have been another one.
            let latest = self.clock.now_ms().saturating_add(super::backoff::LAST_MS);
            let retry_ts = stored.retry_ts.min(latest);
            let queue = Queue::behind(stored.sent, stored.receipts_after, failures, retry_ts);
            kept.behind.insert(server.clone(), stored);
            let destination = Arc::clone(
                self.destinations()
                    .entry(server.clone())
                    .or_insert_with(|| Destination::new(server, queue)),
            );
            destination.start(self);
        }
        kept.floor = Some(floor);
        Ok(floor)
    }

    /// Stores what has arrived, if that has changed. Forgets servers that have everything, and tries those again that
    /// were left alone for long enough.
    pub(super) async fn keep(self: &Arc<Self>, at: Position, kept: &mut Kept) {
        let now_ms = self.clock.now_ms();
        let (mut floor, mut behind) = (at, BTreeMap::new());
        let mut standing = Standing::default();
        let mut due = Vec::new();
        self.destinations().retain(|server, destination| {
            destination.with(|queue| {
                if queue.is_done() {
                    return false;
                }
                if queue.is_behind() || queue.misses_receipts() || queue.failures > 0 {
                    behind.insert(server.clone(), row(server, queue, at));
                } else {
                    let pending = queue.pending_after().into_iter();
                    floor = pending
                        .chain(queue.receipts_after())
                        .fold(floor, Position::min);
                }
                standing.servers += 1;
                standing.failing += usize::from(queue.failures > 0);
                standing.events += queue.len();
                if queue.retry_ms <= now_ms {
                    due.push(Arc::clone(destination));
                }
                true
            })
        });
        measure::standing(standing);
        self.write(floor, behind, kept).await;
        for destination in due {
            destination.start(self);
        }
    }

    async fn write(
        &self,
        floor: Position,
        behind: BTreeMap<OwnedServerName, outbox::Destination>,
        kept: &mut Kept,
    ) {
        let changed = behind.iter();
        let changed = changed.filter(|(server, row)| kept.behind.get(*server) != Some(row));
        let mut plain: Vec<Plain> = changed
            .map(|(_, row)| Plain::Destination(row.clone()))
            .collect();
        let done = kept.behind.keys();
        let done = done.filter(|server| !behind.contains_key(*server));
        plain.extend(done.map(|server| Plain::DestinationDelete {
            server: server.clone(),
        }));
        if kept.floor != Some(floor) {
            plain.push(Plain::OutboxFloor(floor));
        }
        if plain.is_empty() {
            return;
        }
        match self.store.write(Write::plain(plain)).await {
            Ok(_) => {
                *kept = Kept {
                    floor: Some(floor),
                    behind,
                };
            }
            Err(error) => warn!(%error, "what was sent to other servers cannot be written"),
        }
    }
}

/// Up to where a server has everything, with the pause that it is in, as it is stored. What was logged up to `at` is in its
/// queue.
fn row(server: &OwnedServerName, queue: &Queue, at: Position) -> outbox::Destination {
    outbox::Destination {
        server: server.to_string(),
        sent: queue.pending_after().unwrap_or(at),
        receipts_after: queue.receipts_after(),
        failures: i32::try_from(queue.failures).unwrap_or(i32::MAX),
        retry_ts: queue.retry_ms,
    }
}
