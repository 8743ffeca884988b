//! What state events took the place of. It comes with them as `prev_content` to those who may see it: client-server API,
//! "Room event format", `unsigned`.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::serde::Raw;
use spec::visibility::{self, Moment};
use storage::EventRow;

use super::{
    access::Access,
    view::{Shown, View, is_always_open, render_for},
};
use crate::{Result, events::KnownEvent, render::Shape};

/// For how many events it is looked up whether the reader may see what they took the place of; the others come without it.
const UNCLEAR_MAX: usize = 500;

/// A state event that the reader sees.
pub(super) struct Later {
    pub(super) known: Arc<KnownEvent>,
    /// Whether the reader joined at any time after it.
    pub(super) joined_later: bool,
    /// Whether nobody who joined later was to be kept from what came before it.
    pub(super) always_open: bool,
}

impl View<'_> {
    /// Those of the events that these took the place of that the reader may see. Where the room was always open a query for
    /// those that are not in memory, elsewhere two more.
    pub(super) async fn replaced(
        &mut self,
        later: Vec<Later>,
    ) -> Result<HashMap<EventRow, Arc<KnownEvent>>> {
        let rows = later.iter().filter_map(|one| one.known.replaces);
        let rows: Vec<EventRow> = rows.collect::<BTreeSet<_>>().into_iter().collect();
        if rows.is_empty() {
            return Ok(HashMap::new());
        }
        let context = &self.room.context;
        let erased = context.erased.users().await?;
        let found = context.events.find_many(&context.metas, &rows).await?;
        let found: HashMap<EventRow, Arc<KnownEvent>> =
            found.into_iter().map(|known| (known.row, known)).collect();
        let user = self.reader.user_id.as_str();
        let (mut seen, mut unclear) = (HashMap::new(), Vec::new());
        for one in later {
            let Some(before) = one.known.replaces.and_then(|row| found.get(&row)) else {
                continue;
            };
            let is_open = one.joined_later && one.always_open;
            let is_clear = is_open && !erased.contains(before.event.sender());
            if is_clear || before.event.is("m.room.member", user) {
                seen.insert(before.row, Arc::clone(before));
            } else {
                unclear.push((before, one.joined_later));
            }
        }
        // What held before them is not known here, as of what came with a join at another server.
        unclear.retain(|(before, _)| before.snapshot.is_some());
        unclear.truncate(UNCLEAR_MAX);
        self.meet(unclear.iter().filter_map(|(before, _)| before.snapshot))
            .await?;
        for (before, joined_later) in unclear {
            let moment = Moment {
                joined_later,
                ..self.before(before.snapshot)
            };
            if !visibility::may_see(&before.event, user, moment) {
                continue;
            }
            let was_there = moment.membership == spec::auth::Membership::Join;
            let known = if !was_there && erased.contains(before.event.sender()) {
                self.emptied(before)
            } else {
                Arc::clone(before)
            };
            seen.insert(before.row, known);
        }
        Ok(seen)
    }

    /// Events of a state that the reader may see, by their rows, in the same order.
    pub(crate) async fn render_rows<T>(&mut self, rows: &[EventRow]) -> Result<Vec<Raw<T>>> {
        let context = &self.room.context;
        let found = context.events.get_many(&context.metas, rows).await?;
        self.render_state(&found, Shape::Whole).await
    }

    /// The same of events that are known.
    pub(crate) async fn render_state<T>(
        &mut self,
        found: &[Arc<KnownEvent>],
        shape: Shape,
    ) -> Result<Vec<Raw<T>>> {
        let mut later = Vec::new();
        if found.iter().any(|known| known.replaces.is_some()) {
            let always_open = self.was_always_open().await?;
            // Whoever left has seen the state at their departure, which came later than what it took the place of.
            let joined_later = self.access != Access::Peeking;
            later.extend(found.iter().map(|known| Later {
                known: Arc::clone(known),
                joined_later,
                always_open,
            }));
        }
        let replaced = self.replaced(later).await?;
        let context = &self.room.context;
        let shown = found.iter().map(AsRef::as_ref);
        context.events.warm(&context.metas, shown).await?;
        let mut rendered = Vec::with_capacity(found.len());
        for known in found {
            let replaced = known.replaces.and_then(|row| replaced.get(&row));
            let shown = Shown {
                known,
                replaced: replaced.map(AsRef::as_ref),
                membership: None,
                bundle: None,
            };
            rendered.push(render_for(self.room, self.reader, shown, shape).await?);
        }
        Ok(rendered)
    }

    /// Whether nobody who joined later was ever to be kept from what came before.
    async fn was_always_open(&self) -> Result<bool> {
        let state = self.room.current_state().await?;
        let context = &self.room.context;
        let pair = ("m.room.history_visibility", "");
        let found = context.events_in(&state, &[pair]).await?;
        Ok(is_always_open(found.first().and_then(Option::as_deref)))
    }
}
