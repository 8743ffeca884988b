//! The current states that rooms had lately: what a sync of a room starts from, without asking the store.

use std::collections::VecDeque;

use quick_cache::unsync::Cache;
use storage::{
    Position, RoomRow, SnapshotRow,
    write::{NewEvent, Outcome},
};

/// Of how many rooms states are remembered, and how many of each: enough for the timelines of those who follow. All
/// together take some 6 MiB.
const ROOMS_MAX: usize = 8_192;
const EACH_MAX: usize = 32;

/// The current state of a room from a position on, until the next.
pub(crate) type Current = (Position, Option<SnapshotRow>);

/// The current states of rooms, the oldest first, with none missing between the first and now.
pub(super) struct Currents {
    rooms: Cache<RoomRow, VecDeque<Current>>,
}

impl Currents {
    pub(super) fn new() -> Self {
        Self {
            rooms: Cache::new(ROOMS_MAX),
        }
    }

    /// Takes in what was logged at `position`, the newest.
    pub(super) fn push(&mut self, position: Position, new: &NewEvent) {
        if new.outcome != Outcome::Accepted {
            return;
        }
        let current = (position, new.current);
        match self.rooms.get_mut(&new.room) {
            Some(mut states) => {
                if states.len() == EACH_MAX {
                    states.pop_front();
                }
                states.push_back(current);
            }
            None => self.rooms.insert(new.room, VecDeque::from([current])),
        }
    }

    /// The current state of `room` at `position`; `None` where that is not remembered.
    pub(super) fn at(&self, room: RoomRow, position: Position) -> Option<Current> {
        let states = self.rooms.get(&room)?;
        let after = states.partition_point(|(from, _)| *from <= position);
        Some(states[after.checked_sub(1)?])
    }

    /// Remembers what the store says of `room` at `position`, if nothing can have happened between that and what is
    /// remembered already, or `now`.
    pub(super) fn learn(
        &mut self,
        room: RoomRow,
        position: Position,
        current: Current,
        now: Position,
    ) {
        match self.rooms.get_mut(&room) {
            Some(mut states) => {
                let follows = states.front().is_some_and(|(next, _)| {
                    current.0 < *next && next.get() <= position.get().saturating_add(1)
                });
                if follows && states.len() < EACH_MAX {
                    states.push_front(current);
                }
            }
            None if position == now => self.rooms.insert(room, VecDeque::from([current])),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomRow = RoomRow(1);

    fn at(position: i64) -> Current {
        (Position(position), Some(SnapshotRow(position)))
    }

    fn found(currents: &Currents, position: i64) -> Option<i64> {
        let (from, _) = currents.at(ROOM, Position(position))?;
        Some(from.get())
    }

    #[test]
    fn what_the_store_says_is_remembered_where_nothing_is_missing() {
        let mut currents = Currents::new();
        // Something may have happened between 5 and 9.
        currents.learn(ROOM, Position(5), at(3), Position(9));
        assert_eq!(found(&currents, 5), None);
        currents.learn(ROOM, Position(9), at(7), Position(9));
        assert_eq!(found(&currents, 20), Some(7));
        assert_eq!(found(&currents, 6), None);
        // The same between 4 and 7, but not between 6 and 7.
        currents.learn(ROOM, Position(4), at(3), Position(9));
        assert_eq!(found(&currents, 6), None);
        currents.learn(ROOM, Position(6), at(3), Position(9));
        assert_eq!(found(&currents, 6), Some(3));
        assert_eq!(found(&currents, 3), Some(3));
        assert_eq!(found(&currents, 2), None);
        assert_eq!(found(&currents, 7), Some(7));
        // Known already.
        currents.learn(ROOM, Position(20), at(7), Position(20));
        currents.learn(ROOM, Position(6), at(3), Position(20));
        assert_eq!(currents.rooms.get(&ROOM).map(VecDeque::len), Some(2));
    }
}
