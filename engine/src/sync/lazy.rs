//! Lazy loading of members: what each client was sent of them, so that it is not sent again. Client-server API,
//! "Lazy-loading room members".
//!
//! In memory only: what is forgotten is sent once more, which is harmless. What is remembered counts for those only who
//! go on from the answer that told it. Whoever comes with an earlier token has not got that answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::sync::Cache;
use ruma::OwnedUserId;
use storage::{EventRow, RoomRow};

use super::{Build, token::SyncToken};

/// How many devices are remembered; the one that synced longest ago makes room.
const DEVICES_MAX: usize = 2_000;

/// How many members are remembered of a device in all its rooms, some 80 bytes each; the one told longest ago makes room.
const MEMBERS_MAX: usize = 500;

/// The members that clients were sent.
pub(crate) struct SentMembers {
    devices: Cache<(OwnedUserId, String), Arc<Mutex<Sent>>>,
}

#[derive(Default)]
struct Sent {
    told: HashMap<EventRow, Told>,
    /// The same in the order in which they came.
    order: VecDeque<EventRow>,
}

#[derive(Clone, Copy)]
struct Told {
    room: RoomRow,
    /// The token of the answer that told it.
    at: SyncToken,
}

impl Sent {
    /// Forgets what was told elsewhere than in `kept`.
    fn retain(&mut self, kept: impl Fn(&Told) -> bool) {
        self.told.retain(|_, told| kept(told));
        self.order.retain(|row| self.told.contains_key(row));
    }

    fn remember(&mut self, row: EventRow, told: Told) {
        if self.told.insert(row, told).is_none() {
            self.order.push_back(row);
        }
        while self.order.len() > MEMBERS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.told.remove(&oldest);
            }
        }
    }
}

impl SentMembers {
    pub(crate) fn new() -> Self {
        Self {
            devices: Cache::new(DEVICES_MAX),
        }
    }
}

impl Build<'_> {
    /// Whether the members are loaded lazily.
    pub(super) fn is_lazy(&self) -> bool {
        !self.ask.filter.room.state.lazy_load_options.is_disabled()
    }

    /// Forgets what was told in answers that the client has not got: all of them, if it begins anew.
    pub(super) fn begin_lazily(&self) {
        if !self.is_lazy() {
            return;
        }
        if let Some(sent) = self.sent_members() {
            lock(&sent).retain(|told| self.from.is_some_and(|from| told.at.is_reached_by(from)));
        }
    }

    /// Forgets what the client knows of a room that it enters.
    pub(super) fn enter_lazily(&self, room: RoomRow) {
        if let Some(sent) = self.sent_members().filter(|_| self.is_lazy()) {
            lock(&sent).retain(|told| told.room != room);
        }
    }

    /// Those of these member events that the client does not have, or that it wants all the same.
    pub(super) fn without_known(&self, mut rows: Vec<EventRow>) -> Vec<EventRow> {
        use ruma::api::client::filter::LazyLoadOptions;
        let LazyLoadOptions::Enabled {
            include_redundant_members: false,
        } = self.ask.filter.room.state.lazy_load_options
        else {
            return rows;
        };
        if let (Some(sent), Some(from)) = (self.sent_members(), self.from) {
            let sent = lock(&sent);
            rows.retain(|row| {
                let told = sent.told.get(row);
                !told.is_some_and(|told| told.at.is_reached_by(from))
            });
        }
        rows
    }

    /// Remembers that the client is told of these member events by this answer.
    pub(super) fn told_members(&self, room: RoomRow, rows: impl IntoIterator<Item = EventRow>) {
        // An answer that goes nowhere cannot be told from one that was lost.
        if !self.is_lazy() || self.from == Some(self.to) {
            return;
        }
        if let Some(sent) = self.sent_members() {
            let mut sent = lock(&sent);
            for row in rows {
                sent.remember(row, Told { room, at: self.to });
            }
        }
    }

    /// What the device was sent; `None` without one.
    fn sent_members(&self) -> Option<Arc<Mutex<Sent>>> {
        let device = self.by.device_id.as_ref()?.to_string();
        let key = (self.by.user_id.clone(), device);
        let devices = &self.rooms.context.sent_members.devices;
        if let Some(sent) = devices.get(&key) {
            return Some(sent);
        }
        let sent = Arc::default();
        devices.insert(key, Arc::clone(&sent));
        Some(sent)
    }
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}
