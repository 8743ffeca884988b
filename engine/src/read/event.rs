//! One event: client-server API, `GET /rooms/{roomId}/event/{eventId}`.

use ruma::{EventId, events::AnyTimelineEvent, serde::Raw};
use storage::events;

use super::view::View;
use crate::{Error, Requester, Result, Subject, events::Placed, render::Shape, rooms::RoomHandle};

impl RoomHandle {
    /// One event of this room.
    ///
    /// # Errors
    /// [`Error::NotFound`]: the room has no such event, or the user may not see it; never that it exists.
    pub async fn event(&self, by: &Requester, id: &EventId) -> Result<Raw<AnyTimelineEvent>> {
        let not_found = || Error::NotFound(Subject::Event);
        let access = self.access(by).await.map_err(|error| match error {
            Error::Forbidden(_) => not_found(),
            error => error,
        })?;
        let placed = self.placed(id).await?.ok_or_else(not_found)?;
        let mut view = View::new(self, by, access).await?;
        let seen = view.filter(vec![placed]).await?;
        view.render(seen.first().ok_or_else(not_found)?, Shape::Whole)
            .await
    }

    /// An accepted event of this room's timeline.
    pub(crate) async fn placed(&self, id: &EventId) -> Result<Option<Placed>> {
        let stored = events::by_id(self.context.store.reader(), id).await?;
        let stored = stored.filter(|stored| {
            stored.room == self.meta.row && stored.outcome == storage::write::Outcome::Accepted
        });
        let placed = self
            .context
            .events
            .place(&self.context.metas, stored.into_iter().collect())
            .await?;
        Ok(placed.into_iter().next())
    }
}
