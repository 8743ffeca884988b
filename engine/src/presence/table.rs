//! All users who were there lately, and what changed when. Pure but for the lock around it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{OwnedUserId, UserId};
use storage::RoomRow;

use super::{
    RoomSet,
    person::{Person, PresenceState, Shown, Update},
};

/// How many users are remembered; some 500 bytes each. Beyond, those go first who left longest ago; if all are there, no
/// new ones are taken in.
const USERS_MAX: usize = 20_000;

/// What is known of all users.
#[derive(Default)]
pub(super) struct Table {
    users: HashMap<OwnedUserId, Entry>,
    /// The last change of each user, by its number.
    changes: BTreeMap<i64, OwnedUserId>,
    /// For whom clients have to be woken, and whether their own too.
    untold: BTreeMap<OwnedUserId, bool>,
    /// Whose state has changed since it was stored.
    unstored: BTreeSet<OwnedUserId>,
}

#[derive(Default)]
struct Entry {
    person: Person,
    shown: Shown,
    changed: i64,
    /// `None` before they are read, and when they have changed.
    rooms: Option<RoomSet>,
    /// Grows with each change of the rooms.
    generation: u64,
}

/// Whose presence is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Among {
    /// All who are not offline.
    Present,
    /// All whose last change has a number after this.
    ChangedSince(i64),
}

/// Users, each with the number of their last change.
pub(super) type Numbered = Vec<(OwnedUserId, i64)>;

/// A change that others see.
pub(super) struct Change {
    pub(super) number: i64,
}

impl Table {
    pub(super) fn knows(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Changes a user; returns the change, if others see one.
    pub(super) fn change(
        &mut self,
        user: &UserId,
        now_ms: i64,
        number: impl FnOnce() -> i64,
        change: impl FnOnce(&mut Person) -> Update,
    ) -> Option<Change> {
        if !self.users.contains_key(user) && !self.make_room() {
            return None;
        }
        let entry = self.users.entry(user.to_owned()).or_default();
        let update = change(&mut entry.person);
        self.settle(user, now_ms, number, update)
    }

    /// Compares what others see of a user with what they saw.
    fn settle(
        &mut self,
        user: &UserId,
        now_ms: i64,
        number: impl FnOnce() -> i64,
        update: Update,
    ) -> Option<Change> {
        let entry = self.users.get_mut(user)?;
        let shown = entry.person.shown(now_ms);
        let is_state =
            shown.state != entry.shown.state || shown.status_msg != entry.shown.status_msg;
        let is_news = is_state || shown.names != entry.shown.names;
        let is_change = is_news || shown.currently_active != entry.shown.currently_active;
        entry.shown = shown;
        if !is_change {
            return None;
        }
        let number = number();
        self.changes.remove(&entry.changed);
        entry.changed = number;
        self.changes.insert(number, user.to_owned());
        if is_state {
            self.unstored.insert(user.to_owned());
        }
        if is_news && update > Update::Quiet {
            let own_too = self.untold.entry(user.to_owned()).or_default();
            *own_too |= update == Update::OfAll;
        }
        Some(Change { number })
    }

    /// Notes that somebody is gone of whom clients may think otherwise.
    pub(super) fn gone(&mut self, user: &UserId, number: i64) {
        if self.users.contains_key(user) || !self.make_room() {
            return;
        }
        let entry = Entry {
            changed: number,
            ..Entry::default()
        };
        self.users.insert(user.to_owned(), entry);
        self.changes.insert(number, user.to_owned());
    }

    /// Whose state has to be stored. Whoever takes them stores them, or puts them back.
    pub(super) fn take_unstored(&mut self) -> BTreeSet<OwnedUserId> {
        std::mem::take(&mut self.unstored)
    }

    /// These were not stored.
    pub(super) fn put_back_unstored(&mut self, users: BTreeSet<OwnedUserId>) {
        self.unstored.extend(users);
    }

    pub(super) fn has_unstored(&self) -> bool {
        !self.unstored.is_empty()
    }

    /// Whether one more user has a place.
    fn make_room(&mut self) -> bool {
        if self.users.len() < USERS_MAX {
            return true;
        }
        let is_gone = |user: &OwnedUserId| {
            let entry = self.users.get(user);
            entry.is_none_or(|entry| entry.shown.state == PresenceState::Offline)
        };
        let oldest = self.changes.iter().find(|(_, user)| is_gone(user));
        let Some((number, user)) = oldest.map(|(number, user)| (*number, user.clone())) else {
            return false;
        };
        self.changes.remove(&number);
        self.untold.remove(&user);
        self.users.remove(&user);
        self.unstored.insert(user);
        true
    }

    /// Notices what has changed by itself. Returns when something does next, and whether something did.
    pub(super) fn lapse(
        &mut self,
        now_ms: i64,
        mut number: impl FnMut() -> i64,
    ) -> (Option<i64>, bool) {
        let there = self.present();
        let (mut due_ms, mut lapsed) = (None, false);
        for user in there {
            if let Some(entry) = self.users.get_mut(&user) {
                entry.person.lapse(now_ms);
            }
            lapsed |= self
                .settle(&user, now_ms, &mut number, Update::OfOthers)
                .is_some();
            let due = self
                .users
                .get(&user)
                .and_then(|entry| entry.person.due_ms(now_ms));
            due_ms = due_ms.into_iter().chain(due).min();
        }
        (due_ms, lapsed)
    }

    pub(super) fn shown(&self, user: &UserId) -> Option<Shown> {
        self.users.get(user).map(|entry| entry.shown.clone())
    }

    pub(super) fn changed_since(&self, since: i64) -> Vec<OwnedUserId> {
        let changed = self.among(Among::ChangedSince(since));
        changed.map(|(user, _)| user.clone()).collect()
    }

    /// Those of `among` who share one of `rooms`, or are `by`; `None` if it is neither here nor in `read` in which rooms one
    /// of them is.
    ///
    /// Every client asks for this whenever it is woken: only what it gets is copied.
    pub(super) fn near(
        &self,
        among: Among,
        by: &UserId,
        rooms: &BTreeSet<RoomRow>,
        read: &BTreeMap<OwnedUserId, RoomSet>,
    ) -> Option<Numbered> {
        let mut near = Vec::new();
        for (user, entry) in self.among(among) {
            let is_near = user == by
                || !rooms.is_empty()
                    && meet(entry.rooms.as_ref().or_else(|| read.get(user))?, rooms);
            if is_near {
                near.push((user.clone(), entry.changed));
            }
        }
        Some(near)
    }

    /// Those of `among` whose rooms are not here.
    pub(super) fn unread(&self, among: Among) -> Vec<OwnedUserId> {
        let unread = self.among(among).filter(|(_, entry)| entry.rooms.is_none());
        unread.map(|(user, _)| user.clone()).collect()
    }

    fn among(&self, among: Among) -> Box<dyn Iterator<Item = (&OwnedUserId, &Entry)> + '_> {
        match among {
            Among::Present => {
                let is_there = |entry: &Entry| entry.shown.state != PresenceState::Offline;
                Box::new(self.users.iter().filter(move |(_, entry)| is_there(entry)))
            }
            Among::ChangedSince(since) => {
                let changes = self.changes.range(since.saturating_add(1)..);
                Box::new(changes.filter_map(|(_, user)| Some((user, self.users.get(user)?))))
            }
        }
    }

    /// The number of a user's last change; zero if nothing is known of them.
    pub(super) fn last_change(&self, user: &UserId) -> i64 {
        self.users.get(user).map_or(0, |entry| entry.changed)
    }

    /// All who are not offline.
    pub(super) fn present(&self) -> Vec<OwnedUserId> {
        let there = self.among(Among::Present);
        there.map(|(user, _)| user.clone()).collect()
    }

    /// The rooms of a user; or the number under which they may be set once they are read.
    pub(super) fn rooms(&self, user: &UserId) -> Result<RoomSet, u64> {
        match self.users.get(user) {
            Some(entry) => entry.rooms.clone().ok_or(entry.generation),
            None => Err(0),
        }
    }

    /// Keeps rooms that were read, unless they have changed meanwhile.
    pub(super) fn set_rooms(&mut self, user: &UserId, generation: u64, rooms: &RoomSet) {
        if let Some(entry) = self.users.get_mut(user)
            && entry.generation == generation
        {
            entry.rooms = Some(Arc::clone(rooms));
        }
    }

    /// The rooms of a user have changed.
    pub(super) fn forget_rooms(&mut self, user: &UserId) {
        if let Some(entry) = self.users.get_mut(user) {
            entry.rooms = None;
            entry.generation += 1;
        }
    }

    /// Takes out at most `max` of those for whom clients have to be woken.
    pub(super) fn take_untold(&mut self, max: usize) -> Vec<(OwnedUserId, bool)> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(next) = self.untold.pop_first()
        {
            taken.push(next);
        }
        taken
    }

    pub(super) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }
}

/// Whether two sets have a room in common.
pub(super) fn meet(one: &BTreeSet<RoomRow>, other: &BTreeSet<RoomRow>) -> bool {
    let (few, many) = match one.len() < other.len() {
        true => (one, other),
        false => (other, one),
    };
    few.iter().any(|room| many.contains(room))
}
