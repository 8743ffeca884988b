//! The recent part of the one log, bounded, in memory.

use std::{collections::VecDeque, sync::Arc};

use storage::{Logged, Position};

/// How many entries are kept. At some 6.5 KiB a parsed message, as measured, this is some 50 MiB.
const ENTRIES_MAX: usize = 8_192;

/// All that was logged after `start`, up to the last position.
pub(super) struct Log {
    start: Position,
    last: Position,
    entries: VecDeque<(Position, Arc<Logged>)>,
}

impl Log {
    /// An empty log after `position`.
    pub(super) fn starting_at(position: Position) -> Self {
        Self {
            start: position,
            last: position,
            entries: VecDeque::new(),
        }
    }

    /// The last position announced.
    pub(super) fn last(&self) -> Position {
        self.last
    }

    /// Adds the newest entry and forgets the oldest when there are too many.
    pub(super) fn push(&mut self, position: Position, logged: Arc<Logged>) {
        self.last = position;
        self.entries.push_back((position, logged));
        if self.entries.len() > ENTRIES_MAX
            && let Some((forgotten, _)) = self.entries.pop_front()
        {
            self.start = forgotten;
        }
    }

    /// Entries in (from, to] that are `relevant`, oldest first; `None` when the log starts later than `from`.
    pub(super) fn range(
        &self,
        from: Position,
        to: Position,
        relevant: impl Fn(&Logged) -> bool,
    ) -> Option<Vec<(Position, Arc<Logged>)>> {
        if from < self.start {
            return None;
        }
        let first = self
            .entries
            .partition_point(|(position, _)| *position <= from);
        let found = self
            .entries
            .range(first..)
            .take_while(|(position, _)| *position <= to)
            .filter(|(_, logged)| relevant(logged))
            .cloned()
            .collect();
        Some(found)
    }
}
