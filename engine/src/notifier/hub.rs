//! What one user follows: their joined rooms, and the bell for all their waiting clients.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use storage::RoomRow;
use tokio::sync::{Notify, OnceCell};

/// The rooms of one user and the bell that wakes their clients.
///
/// There are as many as users wait: it holds one list of those who wait, and counts the rest.
pub(super) struct Hub {
    bell: Notify,
    /// How often it has rung for all.
    rung: AtomicU64,
    /// How often it has rung for presence, for those who look for it.
    rung_for_presence: AtomicU64,
    followers: AtomicUsize,
    /// How many of them look for presence.
    looking: AtomicUsize,
    rooms: Mutex<Rooms>,
    pub(super) loaded: OnceCell<()>,
}

#[derive(Default)]
struct Rooms {
    /// Copied when it changes while somebody looks at it.
    joined: Arc<BTreeSet<RoomRow>>,
    /// What was announced while the rooms were being read; it is newer than what was read.
    while_loading: Option<HashMap<RoomRow, bool>>,
}

/// One waiting client of a user. While it lives, the user's rooms are kept up to date.
pub(crate) struct Follower {
    pub(super) hub: Arc<Hub>,
    /// How often it has heard the bell.
    heard: u64,
    /// The same for presence, if it looks for that.
    heard_of_presence: Option<u64>,
}

impl Follower {
    pub(super) fn new(hub: Arc<Hub>, presence: bool) -> Self {
        hub.followers.fetch_add(1, Ordering::SeqCst);
        if presence {
            hub.looking.fetch_add(1, Ordering::SeqCst);
        }
        Self {
            heard: hub.rung.load(Ordering::SeqCst),
            heard_of_presence: presence.then(|| hub.rung_for_presence.load(Ordering::SeqCst)),
            hub,
        }
    }

    /// Returns at the next ring, or at once if there was one since the last call.
    pub(crate) async fn rung(&mut self) {
        let Self {
            hub,
            heard,
            heard_of_presence,
        } = self;
        loop {
            // From here on no ring is missed; one before changed the counts.
            let rings = hub.bell.notified();
            let rung = hub.rung.load(Ordering::SeqCst);
            let of_presence =
                (heard_of_presence.as_ref()).map(|_| hub.rung_for_presence.load(Ordering::SeqCst));
            if (rung, of_presence) != (*heard, *heard_of_presence) {
                (*heard, *heard_of_presence) = (rung, of_presence);
                return;
            }
            rings.await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.hub.followers.fetch_sub(1, Ordering::SeqCst);
        if self.heard_of_presence.is_some() {
            self.hub.looking.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Hub {
    pub(super) fn new() -> Self {
        let rooms = Rooms {
            while_loading: Some(HashMap::new()),
            ..Rooms::default()
        };
        Self {
            bell: Notify::new(),
            rung: AtomicU64::new(0),
            rung_for_presence: AtomicU64::new(0),
            followers: AtomicUsize::new(0),
            looking: AtomicUsize::new(0),
            rooms: Mutex::new(rooms),
            loaded: OnceCell::new(),
        }
    }

    pub(super) fn wake(&self) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    pub(super) fn wake_for_presence(&self) {
        self.rung_for_presence.fetch_add(1, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    /// Whether somebody waits who wants to know of presence.
    pub(super) fn looks_for_presence(&self) -> bool {
        self.looking.load(Ordering::SeqCst) > 0
    }

    /// Whether anyone follows it.
    pub(super) fn is_awaited(&self) -> bool {
        self.followers.load(Ordering::SeqCst) > 0
    }

    pub(super) fn joined(&self) -> Arc<BTreeSet<RoomRow>> {
        Arc::clone(&self.rooms().joined)
    }

    /// Takes the rooms that were read and what was announced meanwhile; answers the outcome.
    pub(super) fn load(&self, rows: Vec<RoomRow>) -> Vec<RoomRow> {
        let mut rooms = self.rooms();
        let mut joined: BTreeSet<RoomRow> = rows.into_iter().collect();
        for (room, joins) in rooms.while_loading.take().unwrap_or_default() {
            if joins {
                joined.insert(room);
            } else {
                joined.remove(&room);
            }
        }
        rooms.joined = Arc::new(joined);
        rooms.joined.iter().copied().collect()
    }

    /// Notes a change of membership. Answers whether the set of joined rooms changed.
    pub(super) fn set_joined(&self, room: RoomRow, joined: bool) -> bool {
        let mut rooms = self.rooms();
        if let Some(news) = &mut rooms.while_loading {
            news.insert(room, joined);
            return false;
        }
        if rooms.joined.contains(&room) == joined {
            return false;
        }
        let rooms = Arc::make_mut(&mut rooms.joined);
        if joined {
            rooms.insert(room)
        } else {
            rooms.remove(&room)
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_hears_the_bell_that_they_listen_to() {
        let hub = Arc::new(Hub::new());
        let mut plain = Follower::new(hub.clone(), false);
        let mut looking = Follower::new(hub.clone(), true);
        let hears = |follower: &mut Follower| follower.rung().now_or_never().is_some();
        assert!(!hears(&mut plain) && !hears(&mut looking));
        hub.wake_for_presence();
        assert!(!hears(&mut plain) && hears(&mut looking) && !hears(&mut looking));
        hub.wake();
        hub.wake();
        assert!(hears(&mut plain) && !hears(&mut plain) && hears(&mut looking));
        drop(looking);
        assert!(hub.is_awaited() && !hub.looks_for_presence());
        drop(plain);
        assert!(!hub.is_awaited());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let hub = Arc::new(Hub::new());
        let mut follower = Follower::new(hub.clone(), false);
        let (rings, rung) = (hub.clone(), follower.rung());
        tokio::join!(rung, async move {
            tokio::task::yield_now().await;
            rings.wake_for_presence();
            tokio::task::yield_now().await;
            rings.wake();
        });
    }
}
