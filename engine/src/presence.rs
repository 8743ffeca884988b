//! Who is there: client-server API, "Presence". In memory, and cheap.
//!
//! A change takes a number from [`Ephemeral`], and rides on the next sync of all who share a room with the user. Waiting
//! clients are woken for it at most once a second, only if they look for presence, and only so many at once: who is not
//! woken learns of it with whatever wakes them next. While nobody is there, nothing runs.

mod api;
mod keep;
mod person;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
    time::Duration,
};

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, UserId};
use spec::json::Object;
use storage::{Listener, Logged, Position, RoomRow, Store, members, rooms};
use tokio::sync::{Notify, OnceCell};

pub use self::{api::PresenceStatus, person::PresenceState};
use self::{
    person::Update,
    table::{Change, Numbered, Table},
};
pub(crate) use self::{
    person::{Names, Shown},
    table::Among,
};
use crate::{
    Clock, Result,
    ephemeral::Ephemeral,
    notifier::{Notifier, PresenceWake},
};

/// How long changes are gathered before waiting clients are woken for them.
const GATHER: Duration = Duration::from_secs(1);

/// For how many users' changes clients are woken at once; the others come with the next round.
const USERS_TOGETHER: usize = 200;

/// What the operator decides about presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceSettings {
    /// Whether there is any.
    pub enabled: bool,
    /// Whether other servers are told of our users'.
    pub to_other_servers: bool,
    /// Whether that of other servers' users is taken in.
    pub from_other_servers: bool,
    /// Rooms by which nobody sees who is there, nor does another server hear of it.
    pub quiet_rooms: Vec<OwnedRoomId>,
}

impl Default for PresenceSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            to_other_servers: true,
            from_other_servers: true,
            quiet_rooms: Vec::new(),
        }
    }
}

/// The rooms by which others see a user.
pub(crate) type RoomSet = Arc<BTreeSet<RoomRow>>;

/// A user's presence, as other servers hear of it.
#[derive(Clone, Debug)]
pub struct PresenceNews {
    /// Whose.
    pub user_id: OwnedUserId,
    /// An entry of `push`: server-server API, "Presence".
    pub update: Object,
    /// The rooms that the user is in, but for quiet ones.
    pub rooms: Arc<BTreeSet<RoomRow>>,
}

/// The presence of all users who were there lately.
pub(crate) struct Presence {
    pub(crate) settings: PresenceSettings,
    own: OwnedServerName,
    store: Store,
    clock: Arc<dyn Clock>,
    ephemeral: Arc<Ephemeral>,
    notifier: Arc<Notifier>,
    table: Mutex<Table>,
    /// What was stored when the server ran last is taken in once.
    restored: OnceCell<()>,
    /// When it was stored last, in milliseconds since the epoch.
    stored_ms: AtomicI64,
    /// Held while rooms are read for those who sync.
    reading: tokio::sync::Mutex<()>,
    /// There is something to tell, or to wait for.
    work: Notify,
}

/// A sync that runs: as long as it does, its device is there.
pub(crate) struct Syncing {
    presence: Arc<Presence>,
    user: OwnedUserId,
    device: String,
    /// The number of the change that it made.
    pub(crate) change: Option<i64>,
}

impl Drop for Syncing {
    fn drop(&mut self) {
        let now_ms = self.presence.clock.now_ms();
        self.presence.change(&self.user, |person| {
            person.sync_ended(&self.device, now_ms);
            Update::Quiet
        });
    }
}

impl Presence {
    pub(crate) fn new(
        settings: PresenceSettings,
        own: OwnedServerName,
        store: Store,
        clock: Arc<dyn Clock>,
        ephemeral: Arc<Ephemeral>,
        notifier: Arc<Notifier>,
    ) -> Self {
        Self {
            settings,
            own,
            store,
            clock,
            ephemeral,
            notifier,
            table: Mutex::default(),
            restored: OnceCell::new(),
            stored_ms: AtomicI64::new(0),
            reading: tokio::sync::Mutex::default(),
            work: Notify::new(),
        }
    }

    /// A device begins to sync, and says what it is. `None`: presence is off, or the device does not want to be seen.
    pub(crate) fn begin(
        self: &Arc<Self>,
        user: &UserId,
        device: &str,
        state: PresenceState,
    ) -> Option<Syncing> {
        if !self.settings.enabled || state == PresenceState::Offline {
            return None;
        }
        let now_ms = self.clock.now_ms();
        let change = self.change(user, |person| {
            person.sync_began(device, state, now_ms);
            Update::OfOthers
        });
        Some(Syncing {
            presence: Arc::clone(self),
            user: user.to_owned(),
            device: device.to_owned(),
            change,
        })
    }

    /// The user did something.
    pub(crate) fn active(&self, user: &UserId) {
        if !self.settings.enabled {
            return;
        }
        let now_ms = self.clock.now_ms();
        let mut table = self.table();
        if table.knows(user) {
            let change = table.change(
                user,
                now_ms,
                || self.ephemeral.next(),
                |person| {
                    person.active(now_ms);
                    Update::OfOthers
                },
            );
            drop(table);
            self.announce(user, change);
        }
    }

    /// The user has another name or picture: whoever shares a room with them learns of it, if anything is known of them.
    pub(crate) fn renamed(&self, user: &UserId, names: Names) {
        if self.settings.enabled && self.table().knows(user) {
            self.change(user, |person| {
                person.renamed(names);
                Update::OfAll
            });
        }
    }

    /// Sets what a device is, and the user's message.
    pub(crate) fn set(
        &self,
        user: &UserId,
        device: &str,
        state: PresenceState,
        status_msg: Option<String>,
    ) {
        if self.settings.enabled {
            let now_ms = self.clock.now_ms();
            self.change(user, |person| {
                person.set(device, state, status_msg, now_ms);
                Update::OfAll
            });
        }
    }

    /// The user's account is closed: they are not there any more, and have nothing to say.
    pub(crate) fn close(&self, user: &UserId) {
        if self.table().knows(user) {
            self.change(user, |person| {
                *person = person::Person::default();
                Update::OfOthers
            });
        }
    }

    /// Changes what is known of a user; returns the number of the change, if others see one.
    fn change(
        &self,
        user: &UserId,
        change: impl FnOnce(&mut person::Person) -> Update,
    ) -> Option<i64> {
        let now_ms = self.clock.now_ms();
        let change = self
            .table()
            .change(user, now_ms, || self.ephemeral.next(), change);
        let number = change.as_ref().map(|change| change.number);
        self.announce(user, change);
        number
    }

    fn announce(&self, user: &UserId, change: Option<Change>) {
        if change.is_some() && user.server_name() == self.own {
            self.ephemeral.changed.notify_one();
        }
        self.work.notify_one();
    }

    /// What others see of a user now; `None` if nothing is known.
    pub(crate) fn shown(&self, user: &UserId) -> Option<Shown> {
        self.table().shown(user)
    }

    /// The users whose presence has changed after `since`.
    pub(crate) fn changed_since(&self, since: i64) -> Vec<OwnedUserId> {
        self.table().changed_since(since)
    }

    /// Those of `among` who share one of `rooms` that is not quiet, or are `by`, each with the number of their last change. One
    /// query if the rooms of some are not in memory.
    pub(crate) async fn near(
        &self,
        among: Among,
        by: &UserId,
        rooms: &BTreeSet<RoomRow>,
    ) -> Result<Numbered> {
        let mut read = BTreeMap::new();
        loop {
            if let Some(near) = self.table().near(among, by, rooms, &read) {
                return Ok(near);
            }
            // After a restart all clients lack the same: the first reads it, and the others wait for that.
            let _turn = self.reading.lock().await;
            let unread = self.table().unread(among);
            read = self.rooms_of(&unread).await?;
        }
    }

    /// The number of a user's last change; zero if nothing is known of them.
    pub(crate) fn last_change(&self, user: &UserId) -> i64 {
        self.table().last_change(user)
    }

    /// All who are not offline.
    pub(crate) fn present(&self) -> Vec<OwnedUserId> {
        self.table().present()
    }

    /// The rooms of these users, but for quiet ones. One query for those that are not in memory, and one for the quiet rooms.
    pub(crate) async fn rooms_of(
        &self,
        users: &[OwnedUserId],
    ) -> Result<BTreeMap<OwnedUserId, RoomSet>> {
        let (mut known, missing) = {
            let table = self.table();
            let (mut known, mut missing) = (BTreeMap::new(), Vec::new());
            for user in users {
                match table.rooms(user) {
                    Ok(rooms) => drop(known.insert(user.clone(), rooms)),
                    Err(generation) => missing.push((user.clone(), generation)),
                }
            }
            (known, missing)
        };
        if missing.is_empty() {
            return Ok(known);
        }
        let ids: Vec<&UserId> = missing.iter().map(|(user, _)| &**user).collect();
        let mut read: BTreeMap<String, BTreeSet<RoomRow>> = BTreeMap::new();
        let quiet = self.quiet_rooms().await?;
        for (user, room) in members::joined_of_users(self.store.reader(), &ids).await? {
            let rooms = read.entry(user).or_default();
            if !quiet.contains(&room) {
                rooms.insert(room);
            }
        }
        let mut table = self.table();
        for (user, generation) in missing {
            let found = read.remove(user.as_str()).map(Arc::new);
            // Who is of another server and in no room is asked about again: perhaps this one has not entered theirs yet.
            let is_known = found.is_some() || user.server_name() == self.own;
            let rooms = found.unwrap_or_default();
            if is_known {
                table.set_rooms(&user, generation, &rooms);
            }
            known.insert(user, rooms);
        }
        Ok(known)
    }

    /// Those rooms of the settings that this server knows. A query if there are any.
    pub(crate) async fn quiet_rooms(&self) -> Result<BTreeSet<RoomRow>> {
        let ids: Vec<&str> = self
            .settings
            .quiet_rooms
            .iter()
            .map(|room| room.as_str())
            .collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let known = rooms::by_ids(self.store.reader(), &ids).await?;
        Ok(known.into_iter().map(|room| room.id).collect())
    }

    /// Whether a user sees of another who is there: they share a room that is not quiet.
    pub(crate) async fn is_seen_by(&self, by: &UserId, user: &UserId) -> Result<bool> {
        let shared = members::shared_rooms(self.store.reader(), by, user).await?;
        let quiet = self.quiet_rooms().await?;
        Ok(shared.iter().any(|room| !quiet.contains(room)))
    }

    /// Wakes those who wait, and notices who is gone. Never returns.
    pub(crate) async fn run(&self) {
        self.restore().await;
        let mut due_ms: Option<i64> = None;
        loop {
            let wait_ms = due_ms.map(|due| due.saturating_sub(self.clock.now_ms()).max(0));
            match wait_ms {
                Some(wait_ms) => {
                    let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
                    // Called or not: whoever calls has changed what is due.
                    let _ = tokio::time::timeout(wait, self.work.notified()).await;
                }
                None => self.work.notified().await,
            }
            tokio::time::sleep(GATHER).await;
            due_ms = self.pass().await;
        }
    }

    /// One round; returns when the next is due at the latest.
    pub(crate) async fn pass(&self) -> Option<i64> {
        let now_ms = self.clock.now_ms();
        let (due_ms, lapsed) = self.table().lapse(now_ms, || self.ephemeral.next());
        if lapsed {
            self.ephemeral.changed.notify_one();
        }
        let store_ms = self.store_in_time(now_ms).await;
        let due_ms = due_ms.into_iter().chain(store_ms).min();
        let untold = self.table().take_untold(USERS_TOGETHER);
        if untold.is_empty() {
            return due_ms;
        }
        let users: Vec<OwnedUserId> = untold.iter().map(|(user, _)| user.clone()).collect();
        match self.rooms_of(&users).await {
            Ok(rooms) => {
                let wakes: Vec<PresenceWake> = untold
                    .into_iter()
                    .filter_map(|(user, own_too)| {
                        let rooms = Arc::clone(rooms.get(&user)?);
                        Some(PresenceWake {
                            user,
                            own_too,
                            rooms,
                        })
                    })
                    .collect();
                self.notifier.wake_for_presence(&wakes);
            }
            // They learn of it later.
            Err(error) => tracing::warn!(%error, "clients are not woken for presence"),
        }
        if self.table().has_untold() {
            self.work.notify_one();
        }
        due_ms
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Presence {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, change) in changes {
            if let Logged::Event(new) = &**change {
                for (_, member) in new.memberships() {
                    self.table().forget_rooms(&member.user_id);
                }
            }
        }
    }
}
