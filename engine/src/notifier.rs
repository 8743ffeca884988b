//! Who hears of what: the recent part of the one log in memory, and those who wait for it.
//!
//! The store calls [`Notifier::committed`] after each commit, in the order of positions and before the writers get their
//! answers. So whoever was told that a write succeeded finds it in the next sync. Nothing is announced before its commit.

mod audience;
mod currents;
mod hub;
mod log;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedUserId, UserId};
use storage::{Logged, Position, RoomRow, Store, members, members::Membership};
use tokio::sync::Notify;

pub(crate) use self::hub::Follower;
use self::{
    audience::Audience,
    currents::{Current, Currents},
    hub::Hub,
    log::Log,
};
use crate::Result;

/// The number of hubs that may stay without a waiter before idle ones are dropped.
const IDLE_HUBS_MAX: usize = 10_000;

/// How many users' clients are woken at once for presence.
const PRESENCE_WAKES_MAX: usize = 1_000;

/// Whose presence has changed, and who may see it.
pub(crate) struct PresenceWake {
    pub(crate) user: OwnedUserId,
    /// Whether the user's own clients are woken too.
    pub(crate) own_too: bool,
    pub(crate) rooms: Arc<BTreeSet<RoomRow>>,
}

/// The recent log, and the users who follow it.
pub(crate) struct Notifier {
    store: Store,
    inner: Mutex<Inner>,
}

struct Inner {
    log: Log,
    currents: Currents,
    hubs: HashMap<OwnedUserId, Arc<Hub>>,
    by_room: HashMap<RoomRow, Vec<Arc<Hub>>>,
    /// What rings for those who wait for one room, as long as somebody does.
    bells: HashMap<RoomRow, Arc<Notify>>,
    /// At how many hubs the idle ones are dropped.
    idle_dropped_at: usize,
}

/// What a user sees at one moment: the position, and the rooms that they were joined to then.
pub(crate) struct Glance {
    pub(crate) position: Position,
    pub(crate) joined: Arc<BTreeSet<RoomRow>>,
}

impl Notifier {
    /// A notifier that starts at the last position of `store`. It still has to be subscribed to the store.
    pub(crate) fn new(store: Store) -> Self {
        let log = Log::starting_at(store.position());
        let inner = Inner {
            log,
            currents: Currents::new(),
            hubs: HashMap::new(),
            by_room: HashMap::new(),
            bells: HashMap::new(),
            idle_dropped_at: IDLE_HUBS_MAX,
        };
        Self {
            store,
            inner: Mutex::new(inner),
        }
    }

    /// Follows what concerns `user`: their joined rooms are known, and no bell that rings from now on is missed.
    ///
    /// One query for the first of a user's followers, none for the next.
    /// `presence`: whether presence, too, is a reason to ring.
    pub(crate) async fn follow(&self, user: &UserId, presence: bool) -> Result<Follower> {
        let follower = {
            let mut inner = self.inner();
            if inner.hubs.len() > inner.idle_dropped_at {
                inner.drop_idle();
            }
            let hub = inner
                .hubs
                .entry(user.to_owned())
                .or_insert_with(|| Arc::new(Hub::new()));
            Follower::new(hub.clone(), presence)
        };
        let hub = &follower.hub;
        hub.loaded
            .get_or_try_init(|| async {
                let joined = [Membership::Join];
                let rows = members::of_user(self.store.reader(), user, &joined).await?;
                let rows = rows.into_iter().map(|member| member.room).collect();
                let mut inner = self.inner();
                for room in hub.load(rows) {
                    inner.follow(room, hub);
                }
                Ok::<_, crate::Error>(())
            })
            .await?;
        Ok(follower)
    }

    /// The position now and the follower's rooms at it, taken together.
    pub(crate) fn glance(&self, follower: &Follower) -> Glance {
        let inner = self.inner();
        Glance {
            position: inner.log.last(),
            joined: follower.hub.joined(),
        }
    }

    /// The last position announced.
    pub(crate) fn position(&self) -> Position {
        self.inner().log.last()
    }

    /// What was logged after `from`, up to and including `to`, where `relevant` says so. `None` when the memory no
    /// longer reaches back to `from`: then the database knows.
    pub(crate) fn recent(
        &self,
        from: Position,
        to: Position,
        relevant: impl Fn(&Logged) -> bool,
    ) -> Option<Vec<(Position, Arc<Logged>)>> {
        self.inner().log.range(from, to, relevant)
    }

    /// The current state of `room` at `position`, and since when; `None` where that is not in memory.
    pub(crate) fn current_at(&self, room: RoomRow, position: Position) -> Option<Current> {
        self.inner().currents.at(room, position)
    }

    /// Takes in what the store says of `room` at `position`.
    pub(crate) fn learn_current(&self, room: RoomRow, position: Position, current: Current) {
        let mut inner = self.inner();
        let now = inner.log.last();
        inner.currents.learn(room, position, current, now);
    }

    /// Wakes those who wait, look for presence, and share a room with one of these users.
    ///
    /// At most [`PRESENCE_WAKES_MAX`]: who is left out learns of it with what wakes them next.
    pub(crate) fn wake_for_presence(&self, wakes: &[PresenceWake]) {
        let inner = self.inner();
        let mut woken: HashSet<*const Hub> = HashSet::new();
        for wake in wakes {
            let own = inner.hubs.get(&wake.user);
            if let Some(own) = own.filter(|_| wake.own_too)
                && woken.insert(Arc::as_ptr(own))
            {
                own.wake_for_presence();
            }
            let rooms = wake.rooms.iter().filter_map(|room| inner.by_room.get(room));
            for hub in rooms.flatten() {
                let is_own = own.is_some_and(|own| Arc::ptr_eq(own, hub));
                if !is_own && hub.looks_for_presence() && woken.insert(Arc::as_ptr(hub)) {
                    hub.wake_for_presence();
                }
                if woken.len() >= PRESENCE_WAKES_MAX {
                    return;
                }
            }
        }
    }

    /// What rings when something happens in a room.
    pub(crate) fn bell(&self, room: RoomRow) -> Arc<Notify> {
        Arc::clone(self.inner().bells.entry(room).or_default())
    }

    /// Wakes all who wait and have `room` among their joined rooms.
    pub(crate) fn wake_room(&self, room: RoomRow) {
        if let Some(hubs) = self.inner().by_room.get(&room) {
            hubs.iter().for_each(|hub| hub.wake());
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl storage::Listener for Notifier {
    fn committed(&self, news: &[(Position, Arc<Logged>)]) {
        let mut inner = self.inner();
        for (position, logged) in news {
            inner.log.push(*position, logged.clone());
            if let Logged::Event(new) = &**logged {
                inner.currents.push(*position, new);
            }
            inner.announce(logged);
        }
    }
}

impl Inner {
    fn announce(&mut self, logged: &Logged) {
        let Audience { room, users } = audience::of(logged);
        for (user, joined) in users {
            let Some(hub) = self.hubs.get(user).cloned() else {
                continue;
            };
            if let (Some(room), Some(joined)) = (room, joined)
                && hub.set_joined(room, joined)
            {
                if joined {
                    self.follow(room, &hub);
                } else {
                    self.unfollow(room, &hub);
                }
            }
            hub.wake();
        }
        if let Some(hubs) = room.and_then(|room| self.by_room.get(&room)) {
            hubs.iter().for_each(|hub| hub.wake());
        }
        if let Some(room) = room
            && let Some(bell) = self.bells.get(&room)
        {
            bell.notify_waiters();
            if Arc::strong_count(bell) == 1 {
                self.bells.remove(&room);
            }
        }
    }

    fn follow(&mut self, room: RoomRow, hub: &Arc<Hub>) {
        let hubs = self.by_room.entry(room).or_default();
        if !hubs.iter().any(|other| Arc::ptr_eq(other, hub)) {
            hubs.push(hub.clone());
        }
    }

    fn unfollow(&mut self, room: RoomRow, hub: &Arc<Hub>) {
        if let Some(hubs) = self.by_room.get_mut(&room) {
            hubs.retain(|other| !Arc::ptr_eq(other, hub));
            if hubs.is_empty() {
                self.by_room.remove(&room);
            }
        }
    }

    /// Forgets the hubs that nobody waits at; the next sync of such a user loads their rooms again.
    /// The next time is when there are twice as many hubs as remain: however many users wait, each pays for a few looks.
    fn drop_idle(&mut self) {
        self.hubs.retain(|_, hub| hub.is_awaited());
        for hubs in self.by_room.values_mut() {
            hubs.retain(|hub| hub.is_awaited());
        }
        self.by_room.retain(|_, hubs| !hubs.is_empty());
        self.idle_dropped_at = IDLE_HUBS_MAX.max(2 * self.hubs.len());
    }
}
