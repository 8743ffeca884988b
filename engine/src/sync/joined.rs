//! A room that the user is in: `rooms.join`.

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId,
    api::client::{
        filter::RoomEventFilter,
        sync::sync_events::v3::{JoinedRoom, State, StateEvents, Timeline},
    },
};
use storage::{EventRow, Limit, Position, events};

use super::{Build, account_data::Extra, changes::RoomChange, filter, token::PageToken};
use crate::{
    Result,
    events::Placed,
    read::{
        access::Access,
        view::{Seen, View, render_for},
    },
    render::Shape,
    room::changed_entries,
    rooms::RoomHandle,
};

/// How many events a timeline has if the client does not say.
const TIMELINE_DEFAULT: usize = 10;
/// How many events a timeline may have.
const TIMELINE_MAX: usize = 100;
/// How many stored pages are looked through for a timeline's worth of events that pass the filter.
const PAGES_MAX: usize = 10;

/// The newest events of a room, oldest first.
pub(super) struct Window {
    pub(super) seen: Vec<Seen>,
    /// Whether visible events were left out before the first.
    pub(super) limited: bool,
    /// Everything in the timeline lies after this position.
    pub(super) start: Position,
}

impl Build<'_> {
    /// A room that the client knows nothing of: all of its state, and the newest events.
    pub(super) async fn entered_room(&self, room: &RoomHandle, extra: Extra) -> Result<JoinedRoom> {
        let window = self
            .newest(room, Access::Joined, self.to.position, Position::MIN)
            .await?;
        let mut built = JoinedRoom::new();
        built.state = self.state(room, None, &window).await?;
        built.summary = self.summary(room).await?;
        let typing = !room.context.typing.users(room.meta.row).is_empty();
        built.ephemeral = self.ephemeral(room, &extra.receipts, typing)?;
        built.account_data.events = self.room_account_data(room, extra.account_data)?;
        built.timeline = self.timeline(room, window).await?;
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
            || change
                .events
                .iter()
                .any(|placed| placed.event.event_type() == "m.room.member");
        let window = self
            .window(room, from, change.events, change.truncated)
            .await?;
        let mut built = JoinedRoom::new();
        if self.ask.full_state {
            built.state = self.state(room, None, &window).await?;
        } else if !window.seen.is_empty() || window.limited {
            built.state = self.state(room, Some(from), &window).await?;
        } else if self.ask.use_state_after {
            built.state = State::After(StateEvents::new());
        }
        if members_changed || self.ask.full_state {
            built.summary = self.summary(room).await?;
        }
        built.ephemeral = self.ephemeral(room, &change.receipts, change.typing)?;
        built.account_data.events = self.room_account_data(room, change.account_data)?;
        if !window.seen.is_empty() || window.limited {
            built.timeline = self.timeline(room, window).await?;
        }
        Ok(built)
    }

    /// The last of `events` that the user may see and the filter wants, as many as the filter allows.
    async fn window(
        &self,
        room: &RoomHandle,
        from: Position,
        events: Vec<Placed>,
        truncated: bool,
    ) -> Result<Window> {
        let limit = timeline_limit(&self.ask.filter.room.timeline);
        if truncated {
            return self
                .newest(room, Access::Joined, self.to.position, from)
                .await;
        }
        let wanted = self.wanted(events);
        let mut view = View::new(room, self.by, Access::Joined).await?;
        let mut seen = view.filter(wanted).await?;
        let limited = seen.len() > limit;
        let mut start = from;
        if limited {
            seen.drain(..seen.len() - limit);
            start = before_first(&seen, self.to.position);
        }
        Ok(Window {
            seen,
            limited,
            start,
        })
    }

    /// The newest events in (from, to] that the user may see and the filter wants, read from the store.
    pub(super) async fn newest(
        &self,
        room: &RoomHandle,
        access: Access,
        to: Position,
        from: Position,
    ) -> Result<Window> {
        let context = &room.context;
        let limit = timeline_limit(&self.ask.filter.room.timeline);
        let page = Limit::from(limit + 1);
        let mut view = View::new(room, self.by, access).await?;
        // Newest first until the end of this function.
        let mut found: Vec<Seen> = Vec::new();
        let mut before = Position(to.get().saturating_add(1));
        let mut limited = true;
        for _ in 0..PAGES_MAX {
            let db = context.store.reader();
            let stored = events::page_back(db, room.meta.row, from, before, page).await?;
            let reached = (stored.len() as u64) < page.get();
            let placed = context.events.place(&context.metas, stored).await?;
            if let Some(last) = placed.last() {
                before = last.spot.anchor;
            }
            found.extend(view.filter(self.wanted(placed)).await?);
            if found.len() > limit {
                break;
            }
            if reached {
                limited = false;
                break;
            }
        }
        found.truncate(limit);
        found.reverse();
        let start = if limited {
            before_first(&found, before)
        } else {
            from
        };
        Ok(Window {
            seen: found,
            limited,
            start,
        })
    }

    fn wanted(&self, events: Vec<Placed>) -> Vec<Placed> {
        let wanted =
            |placed: &Placed| filter::allows_event(&self.ask.filter.room.timeline, &placed.event);
        events.into_iter().filter(wanted).collect()
    }

    /// The timeline section.
    pub(super) async fn timeline(&self, room: &RoomHandle, window: Window) -> Result<Timeline> {
        let mut timeline = Timeline::new();
        timeline.limited = window.limited;
        let start = window
            .seen
            .first()
            .map(|seen| Position(seen.placed.spot.anchor.get() - 1));
        timeline.prev_batch = Some(PageToken::News(start.unwrap_or(window.start)).to_string());
        for seen in &window.seen {
            let known = &seen.placed.known;
            let raw =
                render_for(room, self.by, known, Some(seen.membership), Shape::InSync).await?;
            timeline.events.push(raw);
        }
        Ok(timeline)
    }

    /// The state section: what differs between what the client knows (`None`: nothing) and the start of the timeline, or
    /// its end where the client asked for the state after it.
    pub(super) async fn state(
        &self,
        room: &RoomHandle,
        known_at: Option<Position>,
        window: &Window,
    ) -> Result<State> {
        let after = self.ask.use_state_after;
        let at = match window.seen.first() {
            _ if after => self.to.position,
            Some(first) => Position(first.placed.spot.anchor.get() - 1),
            None => window.start.max(self.since()),
        };
        let rows = match known_at {
            // Nothing was left out, so that the state at the start of the timeline is the one that the client knows.
            Some(_) if !window.limited && !after => Vec::new(),
            Some(from) => {
                let (old, new) = (room.state_at(from).await?, room.state_at(at).await?);
                changed_entries(&old, &new)
            }
            None => room.state_at(at).await?.values().copied().collect(),
        };
        let rows = self
            .lazily(room, rows, known_at.is_some(), window, at)
            .await?;
        self.state_section(room, &rows).await
    }

    /// The state section with the events of these rows that the filter wants.
    pub(super) async fn state_section(
        &self,
        room: &RoomHandle,
        rows: &[EventRow],
    ) -> Result<State> {
        let mut events = Vec::with_capacity(rows.len());
        for known in room
            .context
            .events
            .get_many(&room.context.metas, rows)
            .await?
        {
            if filter::allows_event(&self.ask.filter.room.state, &known.event) {
                events.push(render_for(room, self.by, &known, None, Shape::InSync).await?);
            }
        }
        let events = StateEvents::with_events(events);
        Ok(if self.ask.use_state_after {
            State::After(events)
        } else {
            State::Before(events)
        })
    }

    /// With lazy loading: of the members only those who speak in the timeline, the user, and in a difference all whose
    /// membership changed.
    async fn lazily(
        &self,
        room: &RoomHandle,
        rows: Vec<EventRow>,
        is_difference: bool,
        window: &Window,
        at: Position,
    ) -> Result<Vec<EventRow>> {
        if self.ask.filter.room.state.lazy_load_options.is_disabled() {
            return Ok(rows);
        }
        let mut speaking: BTreeSet<OwnedUserId> = window
            .seen
            .iter()
            .map(|seen| seen.placed.event.sender().to_owned())
            .collect();
        if !is_difference {
            speaking.insert(self.by.user_id.clone());
        }
        let state = room.state_at(at).await?;
        let members = room.member_rows(&state, &speaking).await?;
        let mut kept: BTreeSet<EventRow> = members.into_iter().collect();
        for known in room
            .context
            .events
            .get_many(&room.context.metas, &rows)
            .await?
        {
            if is_difference || known.event.event_type() != "m.room.member" {
                kept.insert(known.row);
            }
        }
        Ok(kept.into_iter().collect())
    }
}

/// The position right before the first event; `otherwise` without events.
fn before_first(seen: &[Seen], otherwise: Position) -> Position {
    seen.first().map_or(otherwise, |first| {
        Position(first.placed.spot.anchor.get() - 1)
    })
}

fn timeline_limit(filter: &RoomEventFilter) -> usize {
    filter
        .limit
        .and_then(|limit| usize::try_from(u64::from(limit)).ok())
        .unwrap_or(TIMELINE_DEFAULT)
        .min(TIMELINE_MAX)
}
