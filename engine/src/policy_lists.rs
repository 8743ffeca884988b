//! Moderation policy lists that the operator follows: client-server API, "Moderation policy lists".
//!
//! A list is a room that a user of this server is in; its state says who is shut out. They are not invited, nor do their
//! invites arrive (but for those into rooms that this server is in, which come as any event does), they do not come into
//! rooms through this server, and a server that is shut out is not heard. What is said in rooms already stays, as in other
//! rooms: the lists are no one's power there. Nobody of this server is ever matched, whoever writes the lists.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};
use spec::policy_list::{Rule, Rules, Subject, subject};
use storage::{EventRow, Listener, Logged, Position, rooms};

use crate::{Error, Result, context::Context, inbound::Inbound};

/// The most rules of all lists that count, the newest: some 200 bytes each.
const RULES_MAX: usize = 50_000;
/// How many rules are read at once.
const PAGE: usize = 1_000;

/// The lists, and what they say.
pub(crate) struct PolicyLists {
    own: OwnedServerName,
    lists: BTreeSet<OwnedRoomId>,
    /// How often a list has changed.
    changed: AtomicU64,
    /// At which of these changes the rules were read, and the rules.
    rules: Mutex<(u64, Arc<Rules>)>,
    /// What the events say that were read, so that a change reads only what is new. One reads after another.
    read: tokio::sync::Mutex<HashMap<EventRow, Option<Rule>>>,
    /// Whether something was redacted in a list since then: all is read again.
    redacted: AtomicBool,
}

impl PolicyLists {
    pub(crate) fn new(own: OwnedServerName, lists: impl IntoIterator<Item = OwnedRoomId>) -> Self {
        let lists: BTreeSet<OwnedRoomId> = lists.into_iter().collect();
        Self {
            own,
            changed: AtomicU64::new(u64::from(!lists.is_empty())),
            lists,
            rules: Mutex::default(),
            read: tokio::sync::Mutex::default(),
            redacted: AtomicBool::new(false),
        }
    }

    fn is_list(&self, room: &RoomId) -> bool {
        self.lists.contains(room)
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
            let redacts = event.event_type() == "m.room.redaction";
            let changes_rules = own_member
                || redacts
                || subject(event.event_type()).is_some()
                || new.resettled.is_some();
            if changes_rules && self.is_list(event.room_id()) {
                self.redacted.fetch_or(redacts, Ordering::Release);
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

    /// Refuses a room that a list shuts out, by its ID or an alias.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn check_listed_room(&self, room: impl AsRef<str>) -> Result<()> {
        if self.rules().await?.match_one(Subject::Room, room.as_ref()) {
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
        let mut read = lists.read.lock().await;
        if let Some(rules) = known() {
            return Ok(rules);
        }
        // Before they are read, so that what changes meanwhile is read again.
        let changed = lists.changed.load(Ordering::Acquire);
        if lists.redacted.swap(false, Ordering::AcqRel) {
            read.clear();
        }
        let rules = Arc::new(self.read_rules(&mut read).await?);
        *lock(&lists.rules) = (changed, Arc::clone(&rules));
        Ok(rules)
    }

    /// The rules of all lists now. `read` has what events say that were read before.
    async fn read_rules(&self, read: &mut HashMap<EventRow, Option<Rule>>) -> Result<Rules> {
        let mut found: Vec<(EventRow, Subject)> = Vec::new();
        for list in &self.policy_lists.lists {
            match self.listed_in(list).await {
                Ok(rules) => found.extend(rules),
                Err(Error::NotFound(_)) => {
                    tracing::warn!(%list, "a policy list is not known: a user of this server has to join it");
                }
                // After going back to an older release, say: nothing of it may be asked.
                Err(Error::Internal(why)) => {
                    tracing::error!(%list, why, "a policy list cannot be read: its rules do not count");
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
        let current: HashSet<EventRow> = found.iter().map(|(row, _)| *row).collect();
        read.retain(|row, _| current.contains(row));
        found.retain(|(row, _)| !read.contains_key(row));
        for page in found.chunks(PAGE) {
            let rows: Vec<EventRow> = page.iter().map(|(row, _)| *row).collect();
            let known = self.events.get_many(&self.metas, &rows).await?;
            for ((row, subject), known) in page.iter().zip(known) {
                read.insert(*row, Rule::of(*subject, known.event.content()));
            }
        }
        let mut rules = Rules::default();
        for rule in read.values().flatten() {
            rules.add(rule);
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
        !self.rooms.context.policy_lists.lists.is_empty()
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
