//! Fetching history that is missing: server-server API, "Backfilling and retrieving missing events".
//!
//! A gap is an event of the timeline some of whose parents are not there. Its parents and what came before them are asked
//! for where they are likely to be, checked, given the state before them, and put in front of it, by the room's worker
//! and in one write. Only what the gap's events build upon is taken: nobody can put anything else into the past.

mod fetch;
mod near;
mod servers;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ruma::{OwnedEventId, ServerName};
use storage::{
    Plain, Write, events,
    timeline::{self, Gap, Spot},
    write::Outcome,
};
use tokio::time::timeout;

pub(crate) use self::{fetch::Batch, servers::Backfills};
use crate::{
    Error, Result,
    events::KnownEvent,
    peers::{PeerError, Peers},
    room::history::Missing,
    rooms::RoomHandle,
};

/// How many events are asked for at once.
const EVENTS_MAX: u32 = 100;
/// How many gaps next to each other are filled together: branches of a room often end side by side.
const GAPS_MAX: usize = 5;
/// How many events one request may go back from: they make up its URI.
const FROM_MAX: usize = 20;
/// How many servers are asked for one gap.
const SERVERS_MAX: usize = 5;
/// How long one of them may take with its events.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// How long a reader waits. The fetching goes on without them.
const WAIT: Duration = Duration::from_secs(30);
/// How many generations of events that were refused are looked through for what came before.
const REFUSED_MAX: usize = 20;

/// What became of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// There is more in the timeline before it than there was.
    Some,
    /// Nobody has what is missing.
    Nothing,
    /// Nobody has it who could be reached in time.
    Unreachable,
}

impl RoomHandle {
    /// Fetches what is missing before a gap, or waits for whoever does it already. It is done to the end even if nobody
    /// waits any more.
    ///
    /// # Errors
    /// Only those of the store.
    pub(crate) async fn backfill(&self, gap: Gap) -> Result<Filled> {
        let room = self.clone();
        let work = self.spawn(async move { room.fill_once(gap).await });
        match timeout(WAIT, work).await {
            Ok(done) => done.map_err(|_| Error::Internal("fetching history stopped".to_owned()))?,
            Err(_) => Ok(Filled::Unreachable),
        }
    }

    async fn fill_once(&self, gap: Gap) -> Result<Filled> {
        let _turn = self.context.backfills.turn(self.meta.row).await;
        let db = self.context.store.reader();
        let before = gap.spot.just_before();
        let gaps = timeline::last_gaps(db, self.meta.row, before, GAPS_MAX).await?;
        if gaps.first() != Some(&gap) {
            // Somebody has filled it in the meantime.
            return Ok(Filled::Some);
        }
        let now = self.context.clock.now_ms();
        if self.context.backfills.is_given_up(gap.event, now) || !self.is_resident().await? {
            return Ok(Filled::Nothing);
        }
        self.fill(gap, &gaps).await
    }

    async fn fill(&self, gap: Gap, gaps: &[Gap]) -> Result<Filled> {
        let mut missing = Vec::new();
        let mut children = Vec::new();
        for gap in gaps {
            let known = self
                .context
                .events
                .get(&self.context.metas, gap.event)
                .await?;
            missing.push(Missing {
                gap: *gap,
                parents: self.missing_before(&known).await?,
                leads_up: true,
            });
            children.push(known);
        }
        if missing.first().is_none_or(|first| first.parents.is_empty()) {
            return self.close(gap).await;
        }
        let wanted: Vec<OwnedEventId> = missing
            .iter()
            .flat_map(|missing| missing.parents.iter().cloned())
            .take(FROM_MAX)
            .collect();
        let filled = self.ask_around(&children, &wanted, &missing).await?;
        if filled == Filled::Nothing {
            let now = self.context.clock.now_ms();
            self.context.backfills.give_up(gap.event, now);
        }
        Ok(filled)
    }

    /// Asks one server after the other, until one brings something.
    async fn ask_around(
        &self,
        children: &[Arc<KnownEvent>],
        wanted: &[OwnedEventId],
        missing: &[Missing],
    ) -> Result<Filled> {
        let Ok(peers) = self.peers() else {
            return Ok(Filled::Nothing);
        };
        let mut filled = Filled::Nothing;
        for server in self.likely_servers(children).await? {
            let Some(batch) = self.batch_from(peers, &server, wanted).await? else {
                filled = Filled::Unreachable;
                continue;
            };
            if batch.events.is_empty() {
                continue;
            }
            let missing = missing.to_vec();
            let stored = self
                .run(move |room| Box::pin(async move { room.take_history(batch, missing).await }))
                .await?;
            if stored > 0 {
                self.context.backfills.answered(self.meta.row, &server);
                return Ok(Filled::Some);
            }
        }
        Ok(filled)
    }

    /// What a server has of the wanted events and of what came before them; `None` if it gave no answer.
    async fn batch_from(
        &self,
        peers: &dyn Peers,
        server: &ServerName,
        wanted: &[OwnedEventId],
    ) -> Result<Option<Batch>> {
        let answer = peers.backfill(server, &self.meta.id, wanted, EVENTS_MAX);
        let pdus = match timeout(ANSWER_TIME, answer).await {
            Ok(Ok(pdus)) => pdus,
            Ok(Err(error @ (PeerError::Refused { .. } | PeerError::Invalid { .. }))) => {
                tracing::debug!(room = %self.meta.id, %server, %error, "no history from there");
                return Ok(Some(Batch::default()));
            }
            Ok(Err(PeerError::Unreachable(_) | PeerError::Busy { .. })) | Err(_) => {
                return Ok(None);
            }
        };
        let events = self.connected(pdus, wanted).await?;
        Ok(Some(self.completed(peers, server, events).await?))
    }

    /// The parents of an event that are not in the timeline. What was refused is not, and hides what came before it: that
    /// is looked through.
    async fn missing_before(&self, known: &KnownEvent) -> Result<BTreeSet<OwnedEventId>> {
        let mut missing = BTreeSet::new();
        let mut parents: BTreeSet<OwnedEventId> =
            known.event.prev_events().iter().cloned().collect();
        for _ in 0..REFUSED_MAX {
            if parents.is_empty() {
                break;
            }
            let ids: Vec<_> = parents.iter().map(AsRef::as_ref).collect();
            let stored = events::by_ids(self.context.store.reader(), &ids).await?;
            let mut refused = Vec::new();
            for stored in stored {
                match stored.outcome {
                    Outcome::Outlier if stored.room == self.meta.row => continue,
                    Outcome::Rejected | Outcome::SoftFailed => refused.push(stored.id),
                    Outcome::Accepted | Outcome::Outlier => {}
                }
                parents.remove(&stored.event_id()?);
            }
            missing.append(&mut parents);
            let refused = self
                .context
                .events
                .get_many(&self.context.metas, &refused)
                .await?;
            for known in refused {
                parents.extend(known.event.prev_events().iter().cloned());
            }
        }
        Ok(missing)
    }

    /// Nothing is missing there any more.
    async fn close(&self, gap: Gap) -> Result<Filled> {
        let closed = Plain::Gap {
            event: gap.event,
            open: false,
        };
        self.context.store.write(Write::plain(vec![closed])).await?;
        Ok(Filled::Some)
    }
}

impl Missing {
    /// The highest rank for what stands in front of the gap.
    pub(crate) fn rank_max(&self) -> i64 {
        self.gap.spot.rank.min(Spot::NEWS - 1)
    }
}
