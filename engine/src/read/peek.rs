//! Waiting for what happens in one room, for clients of before `/sync` and for those who look in: client-server API, "Room
//! previews".

use std::time::Duration;

use ruma::{EventId, events::AnyTimelineEvent, serde::Raw};
use storage::{Limit, Position, events};
use tokio::time::Instant;

use super::view::View;
use crate::{
    Engine, Error, Requester, Result, Subject, render::Shape, rooms::RoomHandle,
    sync::token::PageToken,
};

/// How many events one answer holds.
const EVENTS_MAX: u64 = 100;
/// How many pages of events that the user may not see are passed over at once.
const PAGES_MAX: usize = 10;

/// What has happened in a room.
#[derive(Clone, Debug)]
pub struct Peeked {
    /// Where that begins.
    pub start: String,
    /// Where the next one begins.
    pub end: String,
    /// What has happened, oldest first.
    pub chunk: Vec<Raw<AnyTimelineEvent>>,
}

impl RoomHandle {
    /// What has happened in the room since a token, or will from now on; waits for it if need be. Dropping the future ends
    /// the wait.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the user may read nothing of the room. [`Error::InvalidParam`]: the token is not one of this
    /// server's.
    pub async fn peek(
        &self,
        by: &Requester,
        from: Option<&str>,
        timeout: Duration,
    ) -> Result<Peeked> {
        let deadline = Instant::now() + timeout;
        let notifier = &self.context.notifier;
        let now = notifier.position();
        let token: Option<PageToken> = from.map(str::parse).transpose()?;
        let from = token.map_or(now, |token| token.behind_which().anchor.min(now));
        let from = from.max(Position::ZERO);
        let bell = notifier.bell(self.meta.row);
        let mut at = from;
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            // What comes from here on rings it.
            rung.as_mut().enable();
            let (chunk, end) = self.happened(by, at).await?;
            at = end;
            if !chunk.is_empty() || Instant::now() >= deadline {
                return Ok(Peeked {
                    start: PageToken::News(from).to_string(),
                    end: PageToken::News(at).to_string(),
                    chunk,
                });
            }
            tokio::select! {
                () = &mut rung => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// The events after a position that the user may see, and up to where that is all.
    async fn happened(
        &self,
        by: &Requester,
        from: Position,
    ) -> Result<(Vec<Raw<AnyTimelineEvent>>, Position)> {
        let access = self.access(by).await?;
        let context = &self.context;
        let now = context.notifier.position();
        let last = Position(now.min(access.horizon()).get().saturating_add(1));
        let mut view = View::new(self, by, access).await?;
        let mut at = from;
        for _ in 0..PAGES_MAX {
            let db = context.store.reader();
            let limit = Limit::new(EVENTS_MAX);
            let page = events::page_forward(db, self.meta.row, at, last, limit).await?;
            let full = page.len() as u64 == EVENTS_MAX;
            let placed = context.events.place(&context.metas, page).await?;
            at = match placed.last() {
                Some(placed) if full => placed.spot.anchor,
                _ => now,
            };
            let seen = view.filter(placed).await?;
            if !seen.is_empty() || !full {
                return Ok((view.render_all(&seen, Shape::Whole).await?, at));
            }
        }
        Ok((Vec::new(), at))
    }
}

impl Engine {
    /// An event of whatever room.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none, or the user may not see it.
    pub async fn event_anywhere(
        &self,
        by: &Requester,
        id: &EventId,
    ) -> Result<Raw<AnyTimelineEvent>> {
        let not_found = || Error::NotFound(Subject::Event);
        let stored = events::by_id(self.context.store.reader(), id).await?;
        let room = self
            .rooms()
            .by_row(stored.ok_or_else(not_found)?.room)
            .await?;
        match room.event(by, id).await {
            Err(Error::Forbidden(_)) => Err(not_found()),
            found => found,
        }
    }
}
