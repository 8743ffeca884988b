//! Looking for the event nearest to a time where other servers may have a nearer one: server-server API, "Retrieving
//! events", `/timestamp_to_event`.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId, ServerName};
use storage::{
    events,
    timeline::{self, Gap},
    write::Outcome,
};
use tokio::time::timeout;

use super::{ANSWER_TIME, WAIT};
use crate::{Direction, Error, Result, peers::Peers, room::history::Missing, rooms::RoomHandle};

impl RoomHandle {
    /// Has an event that is nearer to `ts` than `known`, the time of the nearest one here, fetched from other servers. It is
    /// in the timeline then, as an island in the gap where it was missing. `None`: there is none to be had.
    ///
    /// # Errors
    /// Only those of the store.
    pub(crate) async fn fetch_near(
        &self,
        ts: i64,
        direction: Direction,
        known: Option<i64>,
    ) -> Result<Option<OwnedEventId>> {
        let room = self.clone();
        let work = self.spawn(async move { room.look_near(ts, direction, known).await });
        match timeout(WAIT, work).await {
            Ok(done) => done.map_err(|_| Error::Internal("fetching history stopped".to_owned()))?,
            Err(_) => Ok(None),
        }
    }

    async fn look_near(
        &self,
        ts: i64,
        direction: Direction,
        known: Option<i64>,
    ) -> Result<Option<OwnedEventId>> {
        let _turn = self.context.backfills.turn(self.meta.row).await;
        let Ok(peers) = self.peers() else {
            return Ok(None);
        };
        if !self.is_resident().await? {
            return Ok(None);
        }
        for server in self.likely_servers(&[]).await? {
            let answer = peers.event_near(&server, &self.meta.id, ts, direction);
            let Ok(Ok((id, claimed))) = timeout(ANSWER_TIME, answer).await else {
                continue;
            };
            let nearer = |known: i64| claimed.abs_diff(ts) < known.abs_diff(ts);
            if !known.is_none_or(nearer) {
                continue;
            }
            if self.is_placed(&id).await? {
                return Ok(Some(id));
            }
            let db = self.context.store.reader();
            let Some(gap) = timeline::gap_after(db, self.meta.row, claimed).await? else {
                continue;
            };
            if self.fetch_island(peers, &server, &id, gap).await? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    async fn is_placed(&self, id: &EventId) -> Result<bool> {
        let stored = events::by_id(self.context.store.reader(), id).await?;
        Ok(stored.is_some_and(|stored| {
            stored.room == self.meta.row && stored.outcome == Outcome::Accepted
        }))
    }

    /// Puts one event of a gap, and what the server gives along with it, into the timeline.
    async fn fetch_island(
        &self,
        peers: &dyn Peers,
        server: &ServerName,
        id: &EventId,
        gap: Gap,
    ) -> Result<bool> {
        let wanted = [id.to_owned()];
        let batch = self.batch_from(peers, server, &wanted).await?;
        let Some(batch) = batch.filter(|batch| !batch.events.is_empty()) else {
            return Ok(false);
        };
        let island = Missing {
            gap,
            parents: BTreeSet::new(),
            leads_up: false,
        };
        self.run(move |room| Box::pin(async move { room.take_history(batch, vec![island]).await }))
            .await?;
        self.is_placed(id).await
    }
}
