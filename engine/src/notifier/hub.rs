//! What one user follows: their joined rooms, and the bell for all their waiting clients.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use storage::RoomRow;
use tokio::sync::{OnceCell, watch};

/// The rooms of one user and the bell that wakes their clients.
pub(super) struct Hub {
    bell: watch::Sender<()>,
    /// Rung for presence, for those who look for it.
    presence: watch::Sender<()>,
    rooms: Mutex<Rooms>,
    pub(super) loaded: OnceCell<()>,
}

#[derive(Default)]
struct Rooms {
    joined: imbl::HashSet<RoomRow>,
    /// What was announced while the rooms were being read; it is newer than what was read.
    while_loading: Option<HashMap<RoomRow, bool>>,
}

/// One waiting client of a user. While it lives, the user's rooms are kept up to date.
pub(crate) struct Follower {
    pub(super) hub: Arc<Hub>,
    bell: watch::Receiver<()>,
    presence: Option<watch::Receiver<()>>,
}

impl Follower {
    pub(super) fn new(hub: Arc<Hub>, presence: bool) -> Self {
        let bell = hub.bell.subscribe();
        let presence = presence.then(|| hub.presence.subscribe());
        Self {
            hub,
            bell,
            presence,
        }
    }

    /// Returns at the next ring, or at once if there was one since the last call.
    pub(crate) async fn rung(&mut self) {
        // They fail only without a sender, and the hub holds that.
        let _ = match &mut self.presence {
            Some(presence) => tokio::select! {
                rung = self.bell.changed() => rung,
                rung = presence.changed() => rung,
            },
            None => self.bell.changed().await,
        };
    }
}

impl Hub {
    pub(super) fn new() -> Self {
        let rooms = Rooms {
            while_loading: Some(HashMap::new()),
            ..Rooms::default()
        };
        Self {
            bell: watch::Sender::new(()),
            presence: watch::Sender::new(()),
            rooms: Mutex::new(rooms),
            loaded: OnceCell::new(),
        }
    }

    pub(super) fn wake(&self) {
        self.bell.send_replace(());
    }

    pub(super) fn wake_for_presence(&self) {
        self.presence.send_replace(());
    }

    /// Whether somebody waits who wants to know of presence.
    pub(super) fn looks_for_presence(&self) -> bool {
        self.presence.receiver_count() > 0
    }

    /// Whether anyone follows it.
    pub(super) fn is_awaited(&self) -> bool {
        self.bell.receiver_count() > 0
    }

    pub(super) fn joined(&self) -> imbl::HashSet<RoomRow> {
        self.rooms().joined.clone()
    }

    /// Takes the rooms that were read and what was announced meanwhile; answers the outcome.
    pub(super) fn load(&self, rows: Vec<RoomRow>) -> Vec<RoomRow> {
        let mut rooms = self.rooms();
        rooms.joined = rows.into_iter().collect();
        for (room, joined) in rooms.while_loading.take().unwrap_or_default() {
            if joined {
                rooms.joined.insert(room);
            } else {
                rooms.joined.remove(&room);
            }
        }
        rooms.joined.iter().copied().collect()
    }

    /// Notes a change of membership. Answers whether the set of joined rooms changed.
    pub(super) fn set_joined(&self, room: RoomRow, joined: bool) -> bool {
        let mut rooms = self.rooms();
        if let Some(news) = &mut rooms.while_loading {
            news.insert(room, joined);
            return false;
        }
        if joined {
            rooms.joined.insert(room).is_none()
        } else {
            rooms.joined.remove(&room).is_some()
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
