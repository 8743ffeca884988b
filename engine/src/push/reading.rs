//! How far a user has read in all their rooms.

use std::collections::HashMap;

use ruma::UserId;
use storage::{
    Position, RoomRow, Store,
    notifications::{self, Notification, WHOLE},
};

use crate::Result;

/// How far a user has read in the rooms that they are in, by thread.
pub(super) struct Readings(HashMap<RoomRow, HashMap<String, Position>>);

impl Readings {
    /// Those of a user. One query.
    pub(super) async fn of(store: &Store, user: &UserId) -> Result<Self> {
        let mut rooms: HashMap<RoomRow, HashMap<String, Position>> = HashMap::new();
        for reading in notifications::readings(store.reader(), user).await? {
            let threads = rooms.entry(reading.room).or_default();
            threads.insert(reading.thread, reading.position);
        }
        Ok(Self(rooms))
    }

    /// The rooms.
    pub(super) fn rooms(&self) -> impl Iterator<Item = RoomRow> {
        self.0.keys().copied()
    }

    /// Whether the user has read what notified them.
    pub(super) fn has_read(&self, row: &Notification) -> bool {
        let Some(threads) = self.0.get(&row.room) else {
            return false;
        };
        let up_to = |thread: &str| {
            let at = threads.get(thread);
            at.is_some_and(|at| row.position <= *at)
        };
        up_to(WHOLE) || up_to(&row.thread)
    }
}
