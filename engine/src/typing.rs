//! Who is typing: in memory only. Client-server API, "Typing Notifications".
//!
//! Each change takes a number from [`Ephemeral`]; a sync token carries the number that the client has seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{OwnedUserId, UserId};
use storage::{Listener, Logged, Position, RoomRow, members::Membership};

use crate::{Clock, ephemeral::Ephemeral, notifier::Notifier};

/// The longest time for which one request may show a user as typing.
const TYPING_MAX: Duration = Duration::from_secs(120);

/// How many rooms are remembered in which somebody was typing. Beyond, the quiet ones that changed longest ago are
/// forgotten: a client that has been away for so long shows nobody as typing anyhow.
const ROOMS_MAX: usize = 10_000;

/// Who is typing in which room, and until when.
pub(crate) struct Typing {
    clock: Arc<dyn Clock>,
    notifier: Arc<Notifier>,
    ephemeral: Arc<Ephemeral>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    rooms: HashMap<RoomRow, Room>,
    /// The last change of each room that has one, by its number: what a sync looks through.
    changes: BTreeMap<i64, RoomRow>,
}

#[derive(Default)]
struct Room {
    changed: i64,
    until_ms: BTreeMap<OwnedUserId, i64>,
}

impl Table {
    /// Gives the room the number of a change.
    fn touch(&mut self, row: RoomRow, counter: i64) {
        let room = self.rooms.entry(row).or_default();
        self.changes.remove(&room.changed);
        room.changed = counter;
        self.changes.insert(counter, row);
        if self.rooms.len() > ROOMS_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let quiet = |row: &RoomRow| {
            self.rooms
                .get(row)
                .is_none_or(|room| room.until_ms.is_empty())
        };
        let oldest = self
            .changes
            .iter()
            .find(|(_, row)| quiet(row))
            .map(|(counter, row)| (*counter, *row));
        if let Some((counter, row)) = oldest {
            self.changes.remove(&counter);
            self.rooms.remove(&row);
        }
    }
}

impl Typing {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        notifier: Arc<Notifier>,
        ephemeral: Arc<Ephemeral>,
    ) -> Self {
        Self {
            clock,
            notifier,
            ephemeral,
            table: Mutex::default(),
        }
    }

    /// Shows `user` as typing for `timeout`, at most two minutes; wakes those who look at the room.
    pub(crate) fn start(&self, room: RoomRow, user: &UserId, timeout: Duration) {
        let timeout_ms = i64::try_from(timeout.min(TYPING_MAX).as_millis()).unwrap_or(0);
        let until = self.clock.now_ms().saturating_add(timeout_ms);
        {
            let mut table = self.table();
            let earlier = table
                .rooms
                .entry(room)
                .or_default()
                .until_ms
                .insert(user.to_owned(), until);
            if earlier.is_some() {
                return;
            }
            table.touch(room, self.ephemeral.next());
        }
        self.tell(room);
    }

    /// No longer shows `user` as typing in `room`. Does nothing if they were not.
    pub(crate) fn stop(&self, room: RoomRow, user: &UserId) {
        {
            let mut table = self.table();
            let Some(entry) = table.rooms.get_mut(&room) else {
                return;
            };
            if entry.until_ms.remove(user).is_none() {
                return;
            }
            table.touch(room, self.ephemeral.next());
        }
        self.tell(room);
    }

    /// Drops those whose time is over, and wakes those who look at their rooms. Answers when the next one is due.
    pub(crate) fn expire(&self) -> Option<Duration> {
        let now = self.clock.now_ms();
        let mut expired = Vec::new();
        let next = {
            let mut table = self.table();
            for (row, room) in &mut table.rooms {
                let before = room.until_ms.len();
                room.until_ms.retain(|_, until| *until > now);
                if room.until_ms.len() < before {
                    expired.push(*row);
                }
            }
            for row in &expired {
                table.touch(*row, self.ephemeral.next());
            }
            table
                .rooms
                .values()
                .flat_map(|room| room.until_ms.values())
                .min()
                .copied()
        };
        for row in expired {
            self.tell(row);
        }
        next.map(|due| Duration::from_millis(u64::try_from(due - now).unwrap_or(0)))
    }

    /// The rooms whose typing users changed after number `since`.
    pub(crate) fn changed_since(&self, since: i64) -> BTreeSet<RoomRow> {
        self.table()
            .changes
            .range(since.saturating_add(1)..)
            .map(|(_, row)| *row)
            .collect()
    }

    /// Who is typing in `room` now, in the order of their ids.
    pub(crate) fn users(&self, room: RoomRow) -> Vec<OwnedUserId> {
        self.table()
            .rooms
            .get(&room)
            .map(|room| room.until_ms.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// No longer shows those as typing who are not in the room any more.
    fn gone<'a>(&self, room: RoomRow, users: impl Iterator<Item = &'a UserId>) {
        let is_quiet = |table: &Table| {
            let room = table.rooms.get(&room);
            room.is_none_or(|room| room.until_ms.is_empty())
        };
        if is_quiet(&self.table()) {
            return;
        }
        for user in users {
            self.stop(room, user);
        }
    }

    /// Wakes those who look at the room, here and elsewhere.
    fn tell(&self, room: RoomRow) {
        self.notifier.wake_room(room);
        self.ephemeral.changed.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Typing {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, change) in changes {
            if let Logged::Event(new) = &**change {
                let gone = new.memberships().map(|(_, member)| member);
                let gone = gone.filter(|member| member.membership != Membership::Join);
                self.gone(new.room, gone.map(|member| &*member.user_id));
            }
        }
    }
}
