//! The state section of a room: what a client lacks beside the timeline.
//!
//! Mostly it is what changed between what the client knows and the start of the timeline. But the state also changes by
//! what is not in the timeline: by events that the user or the filter does not see, and where a resolution of forks lets
//! something else count. Of that, too, the client hears here. Only of state that was dropped and that nothing took the
//! place of it cannot hear, since no event says so: this API has no form for it, and Synapse leaves it out as well. For a
//! user's own membership that is a departure (`left.rs`), and sliding sync has a form for all others (`sliding/room.rs`).

use std::collections::{BTreeMap, BTreeSet};

use imbl::ordmap::DiffItem;
use ruma::{
    OwnedUserId,
    api::client::sync::sync_events::v3::{State, StateEvents},
};
use storage::{EventRow, Position, StateKeyRow};

use super::{
    Build, filter,
    joined::{Window, before_first},
};
use crate::{
    Result,
    read::{access::Access, view::View},
    room::changed_entries,
    rooms::RoomHandle,
    states::StateMap,
};

impl Build<'_> {
    /// The state section of a joined room: what differs between what the client knows at `known_at` (`None`: nothing) and
    /// the start of the timeline, or its end where the client asked for the state after it. `heroes`: by whom the client
    /// is told to name the room.
    pub(super) async fn state(
        &self,
        room: &RoomHandle,
        known_at: Option<Position>,
        window: &Window,
        heroes: &[OwnedUserId],
    ) -> Result<State> {
        self.state_until(room, known_at, window, self.to.position, heroes, &[])
            .await
    }

    /// The same of a room that the client sees until `to`, with the events of `besides` where it asked for the state after
    /// the timeline.
    pub(super) async fn state_until(
        &self,
        room: &RoomHandle,
        known_at: Option<Position>,
        window: &Window,
        to: Position,
        heroes: &[OwnedUserId],
        besides: &[EventRow],
    ) -> Result<State> {
        let mut rows = self.lacking(room, known_at, window, to).await?;
        if self.is_lazy() {
            let speakers = window.seen.iter();
            let mut needed: BTreeSet<OwnedUserId> = speakers
                .map(|seen| seen.placed.event.sender().to_owned())
                .chain(heroes.iter().cloned())
                .collect();
            if known_at.is_none() {
                needed.insert(self.by.user_id.clone());
            }
            let at = match self.ask.use_state_after {
                true => to,
                false => self.start_of(window, to),
            };
            let state = room.state_at(at).await?;
            rows = self
                .lazily(room, rows, known_at.is_some(), &state, needed)
                .await?;
        }
        if self.ask.use_state_after {
            rows.extend(besides);
        }
        let section = self.state_section(room, window.access, &rows).await?;
        let members = window
            .seen
            .iter()
            .filter(|seen| seen.placed.event.event_type() == "m.room.member");
        self.told_members(room.meta.row, members.map(|seen| seen.placed.row));
        Ok(section)
    }

    /// The position of the state before a timeline that ends at `to`.
    fn start_of(&self, window: &Window, to: Position) -> Position {
        before_first(&window.seen, window.start.max(self.since())).min(to)
    }

    /// The events of the state at `to` that a client lacks which knows the state at `known_at` and sees the window. No
    /// state is read if the window tells it all.
    async fn lacking(
        &self,
        room: &RoomHandle,
        known_at: Option<Position>,
        window: &Window,
        to: Position,
    ) -> Result<Vec<EventRow>> {
        let after = self.ask.use_state_after;
        if known_at.is_some() && !(window.limited || window.unseen || after) {
            return Ok(Vec::new());
        }
        let old = match known_at {
            Some(from) => room.state_at(from).await?,
            None => StateMap::new(),
        };
        let end = room.state_at(to).await?;
        if after {
            return Ok(changed_entries(&old, &end));
        }
        let start = room.state_at(self.start_of(window, to)).await?;
        let seen = window.seen.iter().map(|seen| seen.placed.row).collect();
        Ok(before_timeline(&old, &start, &end, &seen))
    }

    /// The state section with the events of these rows that the filter wants.
    async fn state_section(
        &self,
        room: &RoomHandle,
        access: Access,
        rows: &[EventRow],
    ) -> Result<State> {
        let context = &room.context;
        let mut found = context.events.get_many(&context.metas, rows).await?;
        let wanted = &self.ask.filter.room.state;
        found.retain(|known| filter::allows_event(wanted, &known.event));
        let members = found
            .iter()
            .filter(|known| known.event.event_type() == "m.room.member");
        self.told_members(room.meta.row, members.map(|known| known.row));
        let mut events = Vec::new();
        if !found.is_empty() {
            let mut view = View::new(room, self.by, access).await?;
            events = view.render_state(&found, self.shape()).await?;
        }
        let events = StateEvents::with_events(events);
        Ok(if self.ask.use_state_after {
            State::After(events)
        } else {
            State::Before(events)
        })
    }

    /// With lazy loading: of the members only those who are needed and whom the client does not have, and in a difference
    /// all whose membership changed.
    async fn lazily(
        &self,
        room: &RoomHandle,
        rows: Vec<EventRow>,
        is_difference: bool,
        state: &StateMap,
        mut needed: BTreeSet<OwnedUserId>,
    ) -> Result<Vec<EventRow>> {
        let mut kept: BTreeSet<EventRow> = BTreeSet::new();
        let (events, metas) = (&room.context.events, &room.context.metas);
        for known in events.get_many(metas, &rows).await? {
            let is_member = known.event.event_type() == "m.room.member";
            if is_difference || !is_member {
                kept.insert(known.row);
                // Told already, and perhaps otherwise than at the start of the timeline.
                let told = known.event.state_key().filter(|_| is_member);
                needed.retain(|user| Some(user.as_str()) != told);
            }
        }
        let mut members = room.member_rows(state, &needed).await?;
        if is_difference {
            members = self.without_known(members);
        }
        kept.extend(members);
        Ok(kept.into_iter().collect())
    }
}

/// What a client lacks that knows the state `old`, and takes the events of the timeline (`seen`) for state as they come: so
/// much of `start`, the state before them, and what counts in the `end` without being one of them.
fn before_timeline(
    old: &StateMap,
    start: &StateMap,
    end: &StateMap,
    seen: &BTreeSet<EventRow>,
) -> Vec<EventRow> {
    let mut lacking: BTreeMap<StateKeyRow, EventRow> = BTreeMap::new();
    for item in old.diff(start) {
        if let DiffItem::Add(key, row)
        | DiffItem::Update {
            new: (key, row), ..
        } = item
        {
            lacking.insert(*key, *row);
        }
    }
    for item in start.diff(end) {
        match item {
            DiffItem::Add(_, row) | DiffItem::Update { new: (_, row), .. }
                if seen.contains(row) => {}
            DiffItem::Add(key, row)
            | DiffItem::Update {
                new: (key, row), ..
            } if old.get(key) != Some(row) => {
                lacking.insert(*key, *row);
            }
            DiffItem::Add(key, _)
            | DiffItem::Update { new: (key, _), .. }
            | DiffItem::Remove(key, _) => {
                lacking.remove(key);
            }
        }
    }
    lacking.into_values().collect()
}
