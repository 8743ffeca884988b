//! What was committed last, in memory, for the dispatcher: it need not read what it could be told.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedServerName, OwnedUserId};
use storage::{
    Listener, Logged, Position, RoomRow,
    members::Membership,
    write::{NewMembership, NewReceipt, Outcome},
};
use tokio::sync::Notify;

/// How many entries wait at most. Beyond, the dispatcher reads them from the store.
const ENTRIES_MAX: usize = 1_000;

/// Hears of every commit, and keeps what concerns other servers.
pub(super) struct News {
    own: OwnedServerName,
    pub(super) wake: Notify,
    recent: Mutex<Recent>,
    /// Who came into which room, for presence; some may be lost.
    joins: Mutex<BTreeSet<(RoomRow, OwnedUserId)>>,
}

/// All that concerns other servers after `start` up to `last`.
struct Recent {
    start: Position,
    last: Position,
    entries: VecDeque<(Position, Arc<Logged>)>,
}

/// Where the dispatcher finds what comes next.
pub(super) enum Next {
    /// In the store, up to here.
    Stored(Position),
    /// Here is all of it up to here.
    Told(Vec<(Position, Arc<Logged>)>, Position),
}

impl News {
    /// Nothing yet: what comes after `position` is of interest.
    pub(super) fn after(position: Position, own: OwnedServerName) -> Self {
        Self {
            own,
            wake: Notify::new(),
            recent: Mutex::new(Recent {
                start: position,
                last: position,
                entries: VecDeque::new(),
            }),
            joins: Mutex::default(),
        }
    }

    /// What came after `at`; `None` if nothing did. What is handed out is forgotten.
    pub(super) fn after_position(&self, at: Position) -> Option<Next> {
        let mut recent = self.recent();
        if at >= recent.last {
            return None;
        }
        if at < recent.start {
            return Some(Next::Stored(recent.start));
        }
        let entries = std::mem::take(&mut recent.entries);
        recent.start = recent.last;
        let entries = entries.into_iter().filter(|(position, _)| *position > at);
        Some(Next::Told(entries.collect(), recent.last))
    }

    fn concerns_others(&self, change: &Logged) -> bool {
        match change {
            Logged::Event(new) => new.outgoing,
            Logged::Receipt(new) => is_outgoing(new, &self.own),
            Logged::AccountData(_) | Logged::ThreadSubscription(_) => false,
        }
    }

    /// Takes out who came into which room.
    pub(super) fn take_joins(&self) -> BTreeSet<(RoomRow, OwnedUserId)> {
        std::mem::take(&mut *self.joins.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_join(&self, change: &Logged) {
        let Logged::Event(new) = change else {
            return;
        };
        let is_join = |member: &NewMembership| member.membership == Membership::Join;
        for (_, member) in new.memberships().filter(|(_, member)| is_join(member)) {
            let mut joins = self.joins.lock().unwrap_or_else(PoisonError::into_inner);
            if new.outcome == Outcome::Accepted && joins.len() < ENTRIES_MAX {
                joins.insert((new.room, member.user_id.clone()));
            }
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether other servers get a receipt: only those of our users that are no secret.
fn is_outgoing(receipt: &NewReceipt, own: &OwnedServerName) -> bool {
    receipt.kind == "m.read" && receipt.user_id.server_name() == own
}

impl Listener for News {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        let mut recent = self.recent();
        let Some((first, _)) = changes.first() else {
            return;
        };
        if first.get() != recent.last.get() + 1 {
            // Something was committed that nobody was told of.
            recent.entries.clear();
            recent.start = Position(first.get() - 1);
        }
        let before = recent.entries.len();
        for (position, change) in changes {
            recent.last = *position;
            self.note_join(change);
            if self.concerns_others(change) {
                recent.entries.push_back((*position, Arc::clone(change)));
            }
        }
        if recent.entries.len() > ENTRIES_MAX {
            recent.entries.clear();
            recent.start = recent.last;
        }
        if recent.entries.len() != before {
            self.wake.notify_one();
        }
    }
}
