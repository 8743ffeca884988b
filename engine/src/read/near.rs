//! The event nearest to a time: client-server API, `GET /rooms/{roomId}/timestamp_to_event`.

use ruma::OwnedEventId;
use storage::{Limit, timeline};

use super::view::View;
use crate::{
    Direction, Error, Requester, Result, Subject, events::Placed, read::access::Access,
    rooms::RoomHandle,
};

/// How many events are read at once.
const PAGE: usize = 50;
/// How many pages are looked through for an event that the reader may see.
const PAGES_MAX: usize = 20;

impl RoomHandle {
    /// The event whose own time is nearest to `ts`, in ms, at or after it, or at or before it, of those that the user may
    /// see; and that time. Where this server may lack a nearer one, others are asked.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none. [`Error::Forbidden`]: the user may read nothing of the room.
    pub async fn event_near(
        &self,
        by: &Requester,
        ts: i64,
        direction: Direction,
    ) -> Result<(OwnedEventId, i64)> {
        let access = self.access(by).await?;
        let mut view = View::new(self, by, access).await?;
        let mut nearest = self.visible_near(&mut view, access, ts, direction).await?;
        let known = nearest
            .as_ref()
            .map(|placed| placed.event.origin_server_ts());
        if self.may_lack_nearer(ts, direction, known).await? {
            let fetched = self.fetch_near(ts, direction, known).await?;
            if fetched.is_some() {
                nearest = self.visible_near(&mut view, access, ts, direction).await?;
            }
        }
        let nearest = nearest.ok_or(Error::NotFound(Subject::Event))?;
        let event = &nearest.event;
        Ok((event.id().to_owned(), event.origin_server_ts()))
    }

    async fn visible_near(
        &self,
        view: &mut View<'_>,
        access: Access,
        ts: i64,
        direction: Direction,
    ) -> Result<Option<Placed>> {
        let (db, page) = (self.context.store.reader(), Limit::from(PAGE));
        let mut looked_at = None;
        for _ in 0..PAGES_MAX {
            let nearest = direction.nearest();
            let stored = timeline::nearest(db, self.meta.row, ts, nearest, looked_at, page).await?;
            let Some(last) = stored.last() else {
                return Ok(None);
            };
            looked_at = Some((last.origin_server_ts, last.id));
            let mut placed = self
                .context
                .events
                .place(&self.context.metas, stored)
                .await?;
            placed.retain(|placed| placed.spot.anchor <= access.horizon());
            let seen = view.filter(placed).await?;
            if let Some(first) = seen.into_iter().next() {
                return Ok(Some(first.placed));
            }
        }
        Ok(None)
    }

    /// Whether events are missing that may be nearer: before one that was sent after all that matter.
    async fn may_lack_nearer(
        &self,
        ts: i64,
        direction: Direction,
        known: Option<i64>,
    ) -> Result<bool> {
        if known == Some(ts) {
            return Ok(false);
        }
        let since = match direction {
            Direction::Forward => ts,
            Direction::Backward => known.unwrap_or(i64::MIN),
        };
        let db = self.context.store.reader();
        Ok(timeline::gap_after(db, self.meta.row, since)
            .await?
            .is_some())
    }
}
