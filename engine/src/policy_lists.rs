//! Moderation policy lists that the operator follows: client-server API, "Moderation policy lists".
//!
//! A list is a room that a user of this server is in; its state says who is shut out. They are not invited, nor do their
//! invites arrive, they do not come into rooms through this server, and a server that is shut out is not heard. What is
//! said in rooms already stays, as in other rooms: the lists are no one's power there. Nobody of this server is ever
//! matched, whoever writes the lists.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};
use spec::policy_list::{Rules, Subject, subject};
use storage::{EventRow, Listener, Logged, Position, rooms};

use crate::{Error, Result, context::Context, inbound::Inbound};

/// The most rules of all lists that count, the newest: some 200 bytes each.
const RULES_MAX: usize = 50_000;
/// How many rules are read at once.
const PAGE: usize = 1_000;

/// The lists, and what they say.
pub(crate) struct PolicyLists {
    own: OwnedServerName,
    lists: Mutex<BTreeSet<OwnedRoomId>>,
    /// How often a list has changed.
    changed: AtomicU64,
    /// At which of these changes the rules were read, and the rules.
    rules: Mutex<(u64, Arc<Rules>)>,
    /// One after another, so that a change is read once.
    reading: tokio::sync::Mutex<()>,
}

impl PolicyLists {
    pub(crate) fn new(own: OwnedServerName, lists: impl IntoIterator<Item = OwnedRoomId>) -> Self {
        let lists: BTreeSet<OwnedRoomId> = lists.into_iter().collect();
        Self {
            own,
            changed: AtomicU64::new(u64::from(!lists.is_empty())),
            lists: Mutex::new(lists),
            rules: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Follows one more.
    #[cfg(test)]
    pub(crate) fn follow(&self, list: OwnedRoomId) {
        lock(&self.lists).insert(list);
        self.changed.fetch_add(1, Ordering::Release);
    }

    fn is_list(&self, room: &RoomId) -> bool {
        lock(&self.lists).contains(room)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener for PolicyLists {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, logged) in changes {
            let Logged::Event(new) = logged.as_ref() else {
                continue;
            };
            let event = &new.event;
            // With a member of this server, all rules of a list may come. Other members change nothing.
            let own_member =
                event.event_type() == "m.room.member" && event.sender().server_name() == self.own;
            let changes_rules = own_member
                || subject(event.event_type()).is_some()
                || new.resettled.is_some()
                || event.event_type() == "m.room.redaction";
            if changes_rules && self.is_list(event.room_id()) {
                self.changed.fetch_add(1, Ordering::Release);
            }
        }
    }
}

impl Context {
    /// Refuses a user of another server whom a list shuts out, by themselves or with their server.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn check_listed_user(&self, user: &UserId) -> Result<()> {
        if user.server_name() != self.server_name && self.rules().await?.match_user(user) {
            return Err(shut_out("This user"));
        }
        Ok(())
    }

    /// Refuses a room that a list shuts out.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn check_listed_room(&self, room: &RoomId) -> Result<()> {
        if self.rules().await?.match_one(Subject::Room, room.as_str()) {
            return Err(shut_out("This room"));
        }
        Ok(())
    }

    /// What the lists say now. No query as long as they have not changed.
    async fn rules(&self) -> Result<Arc<Rules>> {
        let lists = &self.policy_lists;
        let known = || {
            let rules = lock(&lists.rules);
            let is_current = rules.0 == lists.changed.load(Ordering::Acquire);
            is_current.then(|| Arc::clone(&rules.1))
        };
        if let Some(rules) = known() {
            return Ok(rules);
        }
        let _alone = lists.reading.lock().await;
        if let Some(rules) = known() {
            return Ok(rules);
        }
        // Before they are read, so that what changes meanwhile is read again.
        let changed = lists.changed.load(Ordering::Acquire);
        let rules = Arc::new(self.read_rules().await?);
        *lock(&lists.rules) = (changed, Arc::clone(&rules));
        Ok(rules)
    }

    async fn read_rules(&self) -> Result<Rules> {
        let lists: Vec<OwnedRoomId> = lock(&self.policy_lists.lists).iter().cloned().collect();
        let mut found: Vec<(EventRow, Subject)> = Vec::new();
        for list in &lists {
            match self.listed_in(list).await {
                Ok(rules) => found.extend(rules),
                Err(Error::NotFound(_)) => {
                    tracing::warn!(%list, "a policy list is not known: a user of this server has to join it");
                }
                Err(error) => return Err(error),
            }
        }
        if found.len() > RULES_MAX {
            tracing::warn!(
                rules = found.len(),
                "the policy lists are too long: the oldest rules do not count"
            );
            found.sort_by_key(|(row, _)| std::cmp::Reverse(*row));
            found.truncate(RULES_MAX);
        }
        let mut rules = Rules::default();
        for page in found.chunks(PAGE) {
            let rows: Vec<EventRow> = page.iter().map(|(row, _)| *row).collect();
            let known = self.events.get_many(&self.metas, &rows).await?;
            for ((_, subject), known) in page.iter().zip(known) {
                rules.add(*subject, known.event.content());
            }
        }
        let (all, globs) = rules.count();
        tracing::info!(rules = all, globs, "policy lists were read");
        Ok(rules)
    }

    /// The events of a room's current state that are rules.
    async fn listed_in(&self, list: &RoomId) -> Result<Vec<(EventRow, Subject)>> {
        let meta = self.metas.by_id(list).await?;
        let stored = rooms::by_row(self.store.reader(), meta.row).await?;
        let state = self
            .states
            .get(stored.and_then(|room| room.snapshot))
            .await?;
        let keys: Vec<_> = state.keys().copied().collect();
        let names = self.store.state_keys().names(&keys).await?;
        let rules = state.values().zip(names);
        let rules = rules.filter_map(|(row, (event_type, _))| Some((*row, subject(&event_type)?)));
        Ok(rules.collect())
    }
}

impl Inbound {
    /// Whether there are policy lists that could shut servers out.
    #[must_use]
    pub fn follows_lists(&self) -> bool {
        !lock(&self.rooms.context.policy_lists.lists).is_empty()
    }

    /// Whether this server wants to hear of another one: no policy list shuts that out.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn hears(&self, server: &ServerName) -> Result<bool> {
        let context = &self.rooms.context;
        Ok(server == context.server_name || !context.rules().await?.match_server(server))
    }
}

fn shut_out(what: &str) -> Error {
    Error::Forbidden(format!(
        "{what} is shut out by a policy list of this server"
    ))
}
