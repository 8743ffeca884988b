//! What surrounds an event: client-server API, `GET /rooms/{roomId}/context/{eventId}`.

use std::collections::BTreeSet;

use ruma::{
    OwnedEventId,
    api::client::filter::RoomEventFilter,
    events::{AnyStateEvent, AnyTimelineEvent},
    serde::Raw,
};
use storage::{
    EventRow, Limit,
    events::StoredEvent,
    timeline::{self, Spot},
};

use super::view::{Seen, View};
use crate::{
    Error, Requester, Result, Subject,
    events::Placed,
    relations::RelationFilter,
    render::Shape,
    rooms::RoomHandle,
    sync::{filter, token::PageToken},
};

/// How many surrounding events one answer may hold.
const LIMIT_MAX: usize = 1_000;
/// How many pages are read on each side for events that the filter wants and the user may see.
const PAGES_MAX: usize = 10;
/// How many events a page has at least, but for the first: where few pass, more are read at once.
const PAGE_MIN: usize = 100;

/// On which side of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// How much of the surroundings to read.
#[derive(Clone, Debug)]
pub struct ContextAsk {
    /// Of which event.
    pub event_id: OwnedEventId,
    /// How many events at most, before and after together.
    pub limit: u16,
    /// Which of them; the event itself always comes.
    pub filter: RoomEventFilter,
    /// Which of them by their relations.
    pub relations: RelationFilter,
}

/// An event and its surroundings.
#[derive(Clone, Debug)]
pub struct EventContext {
    /// The event.
    pub event: Raw<AnyTimelineEvent>,
    /// What came before, newest first.
    pub events_before: Vec<Raw<AnyTimelineEvent>>,
    /// What came after, oldest first.
    pub events_after: Vec<Raw<AnyTimelineEvent>>,
    /// A token for paging back from the oldest.
    pub start: String,
    /// A token for paging on from the newest.
    pub end: String,
    /// The state at the last event of all.
    pub state: Vec<Raw<AnyStateEvent>>,
}

impl RoomHandle {
    /// An event with what came before and after it, without what the user may not see.
    ///
    /// # Errors
    /// [`Error::NotFound`]: the room has no such event, or the user may not see it. [`Error::Forbidden`]: they may read
    /// nothing of the room.
    pub async fn context(&self, by: &Requester, ask: ContextAsk) -> Result<EventContext> {
        let access = self.access(by).await?;
        let not_found = || Error::NotFound(Subject::Event);
        let placed = self.placed(&ask.event_id).await?.ok_or_else(not_found)?;
        let at = placed.spot;
        let mut view = View::new(self, by, access).await?;
        let event = view
            .filter(vec![placed])
            .await?
            .pop()
            .ok_or_else(not_found)?;
        let limit = usize::from(ask.limit).min(LIMIT_MAX);
        // The odd one goes to what came after, as in Synapse.
        let (before, after) = (limit / 2, limit - limit / 2);
        let before = self.side(&mut view, at, Side::Before, before, &ask).await?;
        let after = self.side(&mut view, at, Side::After, after, &ask).await?;
        let oldest = before.last().map_or(at, |seen| seen.placed.spot);
        let newest = after.last().map_or(at, |seen| seen.placed.spot);
        let rows = self
            .context_state(&event, &before, &after, &ask.filter)
            .await?;
        let all = before.iter().chain(&after).chain([&event]);
        let bundles = view.bundles(all, Shape::Whole).await?;
        Ok(EventContext {
            start: PageToken::before(oldest).to_string(),
            end: PageToken::behind(newest).to_string(),
            event: view.render_with(&event, &bundles, Shape::Whole).await?,
            events_before: view
                .render_all_with(&before, &bundles, Shape::Whole)
                .await?,
            events_after: view.render_all_with(&after, &bundles, Shape::Whole).await?,
            state: view.render_rows(&rows).await?,
        })
    }

    /// The events before a spot; where some are missing there, others are asked for them.
    async fn before(&self, at: Spot, at_most: usize) -> Result<Vec<StoredEvent>> {
        if at_most == 0 {
            return Ok(Vec::new());
        }
        let (db, room) = (self.context.store.reader(), self.meta.row);
        let page = Limit::from(at_most);
        let read = || timeline::back(db, room, at.just_before(), Spot::MIN, page);
        let stored = read().await?;
        let last = stored.last().and_then(StoredEvent::spot);
        let gaps = timeline::last_gaps(db, room, at.just_before(), 1).await?;
        match gaps.first() {
            Some(gap) if last.is_none_or(|last| last < gap.spot) || stored.len() < at_most => {
                self.backfill(*gap).await?;
                Ok(read().await?)
            }
            _ => Ok(stored),
        }
    }

    /// The nearest events on one side that the filter wants and the user may see, the nearest first: looks further where few
    /// of them are, but not for ever.
    async fn side(
        &self,
        view: &mut View<'_>,
        mut at: Spot,
        side: Side,
        wanted: usize,
        ask: &ContextAsk,
    ) -> Result<Vec<Seen>> {
        let (db, room) = (self.context.store.reader(), self.meta.row);
        let mut found = Vec::new();
        let mut page = wanted;
        for _ in 0..PAGES_MAX {
            if found.len() >= wanted {
                break;
            }
            let stored = match side {
                Side::Before => self.before(at, page).await?,
                Side::After => {
                    timeline::forward(db, room, at, Spot::MAX, Limit::from(page)).await?
                }
            };
            let (last, full) = (
                stored.last().and_then(StoredEvent::spot),
                stored.len() >= page,
            );
            found.extend(self.surroundings(view, stored, ask).await?);
            match last {
                Some(last) if full => at = last,
                _ => break,
            }
            page = wanted.max(PAGE_MIN);
        }
        found.truncate(wanted);
        Ok(found)
    }

    /// Those of these events that the filter wants and the user may see.
    async fn surroundings(
        &self,
        view: &mut View<'_>,
        stored: Vec<StoredEvent>,
        ask: &ContextAsk,
    ) -> Result<Vec<Seen>> {
        let context = &self.context;
        let mut placed: Vec<Placed> = context.events.place(&context.metas, stored).await?;
        let horizon = view.access.horizon();
        placed.retain(|placed| {
            placed.spot.anchor <= horizon && filter::allows_event(&ask.filter, &placed.event)
        });
        let placed = ask.relations.wanted(view, placed).await?;
        view.filter(placed).await
    }

    /// The state at the last event; with lazy loading, of the members only those who speak.
    async fn context_state(
        &self,
        event: &Seen,
        before: &[Seen],
        after: &[Seen],
        wanted: &RoomEventFilter,
    ) -> Result<Vec<EventRow>> {
        let last = after.last().unwrap_or(event);
        let state = self.state_after(&last.placed).await?;
        let all: Vec<EventRow> = state.values().copied().collect();
        let senders: BTreeSet<_> = before
            .iter()
            .chain(after)
            .chain([event])
            .map(|seen| seen.placed.event.sender().to_owned())
            .collect();
        let speaking: BTreeSet<EventRow> = self
            .member_rows(&state, &senders)
            .await?
            .into_iter()
            .collect();
        let lazy = !wanted.lazy_load_options.is_disabled();
        let mut rows = Vec::with_capacity(all.len());
        for known in self
            .context
            .events
            .get_many(&self.context.metas, &all)
            .await?
        {
            let member = known.event.event_type() == "m.room.member";
            if filter::allows_event(wanted, &known.event)
                && !(lazy && member && !speaking.contains(&known.row))
            {
                rows.push(known.row);
            }
        }
        Ok(rows)
    }
}
