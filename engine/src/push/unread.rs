//! How much of a room a user has not read: client-server API, "Receiving notifications".

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ruma::UserId;
use storage::{Position, RoomRow, notifications};

use super::scores::Change;
use crate::{Result, context::Context};

/// What of one thread is unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// How many events notify.
    pub(crate) notifications: i64,
    /// How many of them stand out.
    pub(crate) highlights: i64,
    /// The place of the last one.
    last: Position,
}

/// What of one room is unread to one user.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Up to where the log is in it.
    at: Position,
    /// By the roots of threads, and `main`. What is read is left out.
    pub(crate) threads: BTreeMap<String, Count>,
}

impl Tally {
    fn empty(at: Position) -> Self {
        Self {
            at,
            threads: BTreeMap::new(),
        }
    }

    /// Takes in what changed. `None`: only the store knows what is unread now.
    fn take(&mut self, user: &UserId, position: Position, change: &Change) -> Option<()> {
        match change {
            Change::Event {
                own: Some(own),
                thread,
                ..
            } if own == user => {
                self.threads.remove(thread);
            }
            Change::Event {
                thread, all, some, ..
            } => {
                let (more, brighter) = some.get(user).copied().unwrap_or_default();
                let (more, brighter) = (all.0 + more, all.1 + brighter);
                if more > 0 || brighter > 0 {
                    let count = self.threads.entry(thread.clone());
                    let count = count.or_insert(Count {
                        notifications: 0,
                        highlights: 0,
                        last: position,
                    });
                    count.notifications += more;
                    count.highlights += brighter;
                    count.last = position;
                }
            }
            Change::Read {
                user: reader,
                thread,
                up_to,
                ..
            } if reader == user => {
                let meant = |name: &str| thread.is_empty() || thread == name;
                let partly = |(name, count): (&String, &Count)| meant(name) && count.last > *up_to;
                if self.threads.iter().any(partly) {
                    return None;
                }
                self.threads.retain(|name, _| !meant(name));
            }
            Change::Moved { user: moved, .. } if moved == user => self.threads.clear(),
            Change::Withdrawn { at, .. } => {
                // Whether it was one of those that are counted, the count does not say.
                if self.threads.values().any(|count| count.last >= *at) {
                    return None;
                }
            }
            Change::Read { .. } | Change::Moved { .. } => {}
        }
        Some(())
    }
}

impl Context {
    /// What is unread to a user in these rooms, as far as the log has been followed. One query for 256 rooms that are not
    /// in memory, none for those that are.
    pub(crate) async fn unread(
        &self,
        user: &UserId,
        rooms: &[RoomRow],
    ) -> Result<HashMap<RoomRow, Arc<Tally>>> {
        let mut found = HashMap::with_capacity(rooms.len());
        let mut missing = Vec::new();
        for room in rooms {
            let known = self.scores.tallies.get(&(user.to_owned(), *room));
            match known.and_then(|tally| self.brought_up(user, *room, tally)) {
                Some(tally) => drop(found.insert(*room, tally)),
                None => missing.push(*room),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let at = self.scores.last();
        self.written_down().await?;
        let mut tallies: HashMap<RoomRow, Tally> = missing
            .iter()
            .map(|room| (*room, Tally::empty(at)))
            .collect();
        for unread in notifications::unread(self.store.reader(), user, &missing, at).await? {
            let count = Count {
                notifications: unread.notify,
                highlights: unread.highlight,
                last: unread.last,
            };
            if let Some(tally) = tallies.get_mut(&unread.room)
                && count.notifications > 0
            {
                tally.threads.insert(unread.thread, count);
            }
        }
        for (room, tally) in tallies {
            let tally = Arc::new(tally);
            self.scores
                .tallies
                .insert((user.to_owned(), room), tally.clone());
            let tally = self.brought_up(user, room, tally.clone()).unwrap_or(tally);
            found.insert(room, tally);
        }
        Ok(found)
    }

    /// A tally with what has changed since. `None`: only the store knows.
    fn brought_up(&self, user: &UserId, room: RoomRow, tally: Arc<Tally>) -> Option<Arc<Tally>> {
        let (at, changes) = self.scores.since(room, tally.at)?;
        if changes.is_empty() && at <= tally.at {
            return Some(tally);
        }
        let mut tally = Tally::clone(&tally);
        for (position, change) in changes {
            tally.take(user, position, &change)?;
        }
        tally.at = at;
        let tally = Arc::new(tally);
        self.scores
            .tallies
            .insert((user.to_owned(), room), tally.clone());
        Some(tally)
    }
}
