//! A room that the user is in: `rooms.join`.

use ruma::api::client::sync::sync_events::v3::{JoinedRoom, State, StateEvents, Timeline};
use storage::{EventRow, Limit, Position, events};

use super::{Build, account_data::Extra, changes::RoomChange, filter, token::PageToken};
use crate::{
    Result,
    events::Placed,
    read::{
        access::Access,
        view::{Seen, View},
    },
    relations::bundle::Bundles,
    rooms::RoomHandle,
};

/// How many events a timeline has if the client does not say.
const TIMELINE_DEFAULT: usize = 10;
/// How many events are read at once at least, so that a small limit does not end the search of those that pass the filter.
const PAGE_MIN: usize = 20;
/// How many stored pages are looked through for a timeline's worth of events that pass the filter.
const PAGES_MAX: usize = 10;

/// The newest events of a room, oldest first.
pub(super) struct Window {
    /// How the user stands to the room.
    pub(super) access: Access,
    pub(super) seen: Vec<Seen>,
    /// Whether visible events were left out before the first.
    pub(super) limited: bool,
    /// Everything in the timeline lies after this position.
    pub(super) start: Position,
    /// Whether the state may have changed by what is not in the timeline: by what the user or the filter does not see, or
    /// by a resolution of forks.
    pub(super) unseen: bool,
}

impl Build<'_> {
    /// A room that the client knows nothing of: all of its state, and the newest events.
    pub(super) async fn entered_room(&self, room: &RoomHandle, extra: Extra) -> Result<JoinedRoom> {
        let window = self
            .newest(room, Access::Joined, self.to.position, Position::MIN)
            .await?;
        let mut built = JoinedRoom::new();
        self.enter_lazily(room.meta.row);
        built.summary = self.summary(room).await?;
        built.state = self
            .state(room, None, &window, &built.summary.heroes)
            .await?;
        let typing = !room.context.typing.users(room.meta.row).is_empty();
        built.ephemeral = self.ephemeral(room, &extra.receipts, typing)?;
        built.account_data.events = self.room_account_data(room, extra.account_data)?;
        built.timeline = self.timeline(room, window).await?;
        self.fill_counts(&mut built, extra.unread.as_deref());
        Ok(built)
    }

    /// A room that the client knows as of `from`: what changed in it.
    pub(super) async fn changed_room(
        &self,
        room: &RoomHandle,
        from: Position,
        change: RoomChange,
    ) -> Result<JoinedRoom> {
        let members_changed = change.truncated
            || change.resettled
            || change
                .events
                .iter()
                .any(|placed| placed.event.event_type() == "m.room.member");
        let window = if change.truncated {
            self.newest(room, Access::Joined, self.to.position, from)
                .await?
        } else {
            self.window(room, from, change.events, change.resettled)
                .await?
        };
        let mut built = JoinedRoom::new();
        if members_changed || self.ask.full_state {
            built.summary = self.summary(room).await?;
        }
        let heroes = &built.summary.heroes;
        if self.ask.full_state {
            built.state = self.state(room, None, &window, heroes).await?;
        } else if !window.seen.is_empty() || window.limited || window.unseen {
            built.state = self.state(room, Some(from), &window, heroes).await?;
        } else if self.ask.use_state_after {
            built.state = State::After(StateEvents::new());
        }
        built.ephemeral = self.ephemeral(room, &change.receipts, change.typing)?;
        built.account_data.events = self.room_account_data(room, change.account_data)?;
        if !window.seen.is_empty() || window.limited {
            built.timeline = self.timeline(room, window).await?;
        }
        Ok(built)
    }

    /// The last of `events` that the user may see and the filter wants, as many as the filter allows, and none from before
    /// a gap.
    pub(super) async fn window(
        &self,
        room: &RoomHandle,
        from: Position,
        mut events: Vec<Placed>,
        resettled: bool,
    ) -> Result<Window> {
        let limit = self.timeline_limit();
        let changes_state = |placed: &&Placed| placed.event.state_key().is_some();
        let changes: Vec<EventRow> = events
            .iter()
            .filter(changes_state)
            .map(|placed| placed.row)
            .collect();
        let gap = events.iter().rposition(|placed| placed.gap);
        let mut start = from;
        if let Some(index) = gap {
            start = events[index].before();
            events.drain(..index);
        }
        let mut view = View::new(room, self.by, Access::Joined).await?;
        let wanted = self.wanted(&view, events).await?;
        let mut seen = view.filter(wanted).await?;
        let left_out = seen.len().saturating_sub(limit);
        seen.drain(..left_out);
        if left_out > 0 {
            start = before_first(&seen, self.to.position);
        }
        let is_seen = |row: &EventRow| seen.iter().any(|seen| seen.placed.row == *row);
        Ok(Window {
            access: Access::Joined,
            limited: left_out > 0 || gap.is_some(),
            unseen: resettled || !changes.iter().all(is_seen),
            seen,
            start,
        })
    }

    /// The newest events in (from, to] that the user may see and the filter wants, none from before a gap, read from the
    /// store.
    pub(super) async fn newest(
        &self,
        room: &RoomHandle,
        access: Access,
        to: Position,
        from: Position,
    ) -> Result<Window> {
        let context = &room.context;
        let limit = self.timeline_limit();
        let page = self.timeline_page();
        let mut view = View::new(room, self.by, access).await?;
        // Newest first until the end of this function.
        let mut found: Vec<Seen> = Vec::new();
        let mut before = Position(to.get().saturating_add(1));
        let mut limited = true;
        for _ in 0..PAGES_MAX {
            let db = context.store.reader();
            let stored = events::page_back(db, room.meta.row, from, before, page).await?;
            let reached = (stored.len() as u64) < page.get();
            let mut placed = context.events.place(&context.metas, stored).await?;
            let gap = placed.iter().position(|placed| placed.gap);
            placed.truncate(gap.map_or(placed.len(), |index| index + 1));
            if let Some(last) = placed.last() {
                before = last.spot.anchor;
            }
            let wanted = self.wanted(&view, placed).await?;
            found.extend(view.filter(wanted).await?);
            if found.len() > limit || gap.is_some() {
                break;
            }
            if reached {
                limited = false;
                break;
            }
        }
        found.truncate(limit);
        found.reverse();
        // Without any, all that there is lies before the end, or before where the search for them ended.
        let start = match limited {
            true if limit > 0 => before_first(&found, Position(before.get() - 1)),
            false if !found.is_empty() => from,
            _ => to.max(from),
        };
        Ok(Window {
            access,
            seen: found,
            limited,
            start,
            unseen: true,
        })
    }

    /// How many events a timeline may have.
    fn timeline_limit(&self) -> usize {
        let limit = self.ask.filter.room.timeline.limit;
        let limit = limit.and_then(|limit| usize::try_from(u64::from(limit)).ok());
        limit.unwrap_or(TIMELINE_DEFAULT).min(self.timeline_max)
    }

    /// How many events are read at once for a timeline: one more than it has, which tells whether it is limited.
    pub(super) fn timeline_page(&self) -> Limit {
        let limit = self.timeline_limit();
        Limit::from(PAGE_MIN.max(limit + 1))
    }

    /// Those of `events` that the filter wants.
    async fn wanted(&self, view: &View<'_>, mut events: Vec<Placed>) -> Result<Vec<Placed>> {
        let timeline = &self.ask.filter.room.timeline;
        events.retain(|placed| filter::allows_event(timeline, &placed.event));
        self.ask.relations.wanted(view, events).await
    }

    /// The timeline section. Where events were left out, the client could not aggregate their children by itself.
    pub(super) async fn timeline(&self, room: &RoomHandle, window: Window) -> Result<Timeline> {
        let mut timeline = Timeline::new();
        timeline.limited = window.limited;
        let start = before_first(&window.seen, window.start);
        timeline.prev_batch = Some(PageToken::News(start).to_string());
        let mut view = View::new(room, self.by, window.access).await?;
        let bundles = if window.limited {
            view.bundles(&window.seen, self.shape()).await?
        } else {
            Bundles::new()
        };
        timeline.events = view
            .render_all_with(&window.seen, &bundles, self.shape())
            .await?;
        Ok(timeline)
    }
}

/// The position right before the first event; `otherwise` without events.
pub(super) fn before_first(seen: &[Seen], otherwise: Position) -> Position {
    seen.first()
        .map_or(otherwise, |first| first.placed.before())
}
