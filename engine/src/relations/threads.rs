//! The threads of a room: client-server API, `GET /rooms/{roomId}/threads`.

use std::{collections::HashMap, sync::Arc};

use ruma::{EventId, OwnedEventId, events::AnyTimelineEvent, serde::Raw};
use storage::{Limit, events, relations, timeline::Spot, write::Outcome};

use crate::{
    Requester, Result,
    events::{KnownEvent, Placed},
    read::view::{Seen, View},
    render::Shape,
    rooms::RoomHandle,
    sync::token::PageToken,
};

/// How many threads one answer may hold.
const LIMIT_MAX: usize = 100;
/// How many stored pages one request may look through for threads whose roots the reader may see.
const PAGES_MAX: usize = 20;

/// Which threads to list.
#[derive(Clone, Debug)]
pub struct ThreadsAsk {
    /// Where to start; by default at the thread with the last reply.
    pub from: Option<String>,
    /// Whether only those are wanted in which the user has spoken.
    pub participated: bool,
    /// How many at most.
    pub limit: u16,
}

/// Some threads of a room.
#[derive(Clone, Debug)]
pub struct ThreadsPage {
    /// The roots, that with the last reply first.
    pub chunk: Vec<Raw<AnyTimelineEvent>>,
    /// The token at which the next page starts; `None` when there is no more.
    pub next_batch: Option<String>,
}

impl RoomHandle {
    /// Some threads of the room by their last replies. What a user whom the reader ignores has begun comes as redacted.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`]: the user may read nothing of the room. [`crate::Error::InvalidParam`]: the token is
    /// not one of this server's.
    pub async fn threads(&self, by: &Requester, ask: ThreadsAsk) -> Result<ThreadsPage> {
        let access = self.access(by).await?;
        let mut view = View::new(self, by, access).await?;
        let limit = usize::from(ask.limit).clamp(1, LIMIT_MAX);
        let from: Option<PageToken> = ask.from.as_deref().map(str::parse).transpose()?;
        let horizon = access.horizon();
        let mut before = from.map_or(Spot::MAX, PageToken::last_before);
        before = before.min(Spot::news(horizon));
        let participant = ask.participated.then_some(&*by.user_id);
        // One more than is wanted tells whether there is more.
        let page = Limit::from(limit + 1);
        let db = self.context.store.reader();
        let (mut found, mut next) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let at = (before, horizon);
            let mut stored = relations::threads(db, self.meta.row, at, participant, page).await?;
            let all = stored.len();
            stored.truncate(limit - found.len());
            let more = stored.len() < all;
            let last = stored.last().map(|(_, spot)| *spot);
            found.extend(self.roots(&mut view, stored).await?);
            next = last.filter(|_| more).map(Spot::just_before);
            match next {
                Some(spot) if found.len() < limit => before = spot,
                _ => break,
            }
        }
        Ok(ThreadsPage {
            chunk: view.render_all(&found, Shape::Whole).await?,
            next_batch: next.map(|spot| PageToken::behind(spot).to_string()),
        })
    }

    /// The roots that the reader may see, in the same order.
    async fn roots(&self, view: &mut View<'_>, stored: Vec<(String, Spot)>) -> Result<Vec<Seen>> {
        let ids: Vec<OwnedEventId> = stored
            .into_iter()
            .filter_map(|(id, _)| id.try_into().ok())
            .collect();
        let wanted: Vec<&EventId> = ids.iter().map(AsRef::as_ref).collect();
        let mut rows = events::by_ids(self.context.store.reader(), &wanted).await?;
        rows.retain(|row| row.room == self.meta.row && row.outcome == Outcome::Accepted);
        let placed = self.context.events.place(&self.context.metas, rows).await?;
        let mut placed: HashMap<OwnedEventId, Placed> = placed
            .into_iter()
            .map(|placed| (placed.event.id().to_owned(), placed))
            .collect();
        let in_order = ids.iter().filter_map(|id| placed.remove(id)).collect();
        let mut seen = view.visible(in_order).await?;
        for root in &mut seen {
            if view.ignored.contains(root.placed.event.sender()) {
                self.empty(root);
            }
        }
        Ok(seen)
    }

    /// Takes the content out of an event.
    fn empty(&self, seen: &mut Seen) {
        let known = &seen.placed.known;
        seen.placed.known = Arc::new(KnownEvent {
            event: Arc::new(known.event.redacted(self.meta.version)),
            ..known.as_ref().clone()
        });
    }
}
