//! The rows of the last events that a room has built or taken in, by id: their writes may still be on their way to the
//! disk, so that a query would not find them.

use std::collections::{HashMap, VecDeque};

use ruma::{EventId, OwnedEventId};
use storage::EventRow;

/// How many events are remembered: more than the writer has on its way for one room as a rule. Some 100 bytes each.
const EVENTS_MAX: usize = 512;

/// See the module.
#[derive(Default)]
pub(super) struct RecentEvents {
    by_id: HashMap<OwnedEventId, EventRow>,
    order: VecDeque<OwnedEventId>,
}

impl RecentEvents {
    /// The row of the event, if it was among the last.
    pub(super) fn find(&self, id: &EventId) -> Option<EventRow> {
        self.by_id.get(id).copied()
    }

    /// Forgets events that are about to be deleted.
    pub(super) fn forget(&mut self, rows: &[EventRow]) {
        self.by_id.retain(|_, row| !rows.contains(row));
        self.order.retain(|id| self.by_id.contains_key(id));
    }

    /// Remembers an event.
    pub(super) fn remember(&mut self, id: OwnedEventId, row: EventRow) {
        if self.by_id.insert(id.clone(), row).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > EVENTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}
