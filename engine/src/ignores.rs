//! Whom users ignore: client-server API, "Ignoring Users".
//!
//! Kept in memory by user. The list is account data, so that its commit tells when what is kept is no longer true.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedUserId, UserId};
use serde_json::Value;
use storage::{Listener, Logged, Position, Store, account_data};

use crate::Result;

/// The type of the account data that holds the list.
const TYPE: &str = "m.ignored_user_list";
/// How many ignored users the cache may hold, a user who ignores nobody counted as one: some 100 bytes each.
const IGNORED_MAX: u64 = 100_000;

/// Those whom one user ignores.
#[derive(Debug, Default)]
pub struct Ignored(HashSet<OwnedUserId>);

impl Ignored {
    /// What a list says; one that cannot be read ignores nobody. Nobody ignores themselves.
    fn parse(user: &UserId, content: &str) -> Self {
        let content: Option<Value> = serde_json::from_str(content).ok();
        let users = content
            .as_ref()
            .and_then(|content| content.get("ignored_users"));
        let users = users.and_then(Value::as_object).into_iter().flatten();
        let users = users.filter_map(|(user, _)| UserId::parse(user).ok());
        Self(users.filter(|other| other != user).collect())
    }

    /// Whether `user` is among them.
    #[must_use]
    pub fn contains(&self, user: &UserId) -> bool {
        self.0.contains(user)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<OwnedUserId, Arc<Ignored>> for ByLength {
    fn weight(&self, _: &OwnedUserId, ignored: &Arc<Ignored>) -> u64 {
        ignored.0.len() as u64 + 1
    }
}

/// The lists of all users.
pub(crate) struct Ignores {
    store: Store,
    cache: Cache<OwnedUserId, Arc<Ignored>, ByLength>,
    /// How many lists have changed: what was read before a change is not kept after it.
    changes: Mutex<u64>,
}

impl Ignores {
    /// It still has to be subscribed to the store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            cache: Cache::with_weighter(1_024, IGNORED_MAX, ByLength),
            changes: Mutex::new(0),
        }
    }

    /// Those whom `user` ignores. One query unless it was asked lately.
    pub(crate) async fn of(&self, user: &UserId) -> Result<Arc<Ignored>> {
        let found = self.of_many(&[user]).await?;
        Ok(found.into_values().next().unwrap_or_default())
    }

    /// The same for many users. One query for 256 of those who were not asked for lately.
    pub(crate) async fn of_many(
        &self,
        users: &[&UserId],
    ) -> Result<HashMap<OwnedUserId, Arc<Ignored>>> {
        let mut found = HashMap::with_capacity(users.len());
        let mut missing = Vec::new();
        for user in users {
            match self.cache.get(*user) {
                Some(ignored) => drop(found.insert((*user).to_owned(), ignored)),
                None => missing.push(*user),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let before = *self.changes();
        let lists = account_data::of_users(self.store.reader(), &missing, TYPE).await?;
        let lists: HashMap<String, String> = lists.into_iter().collect();
        let read = missing.into_iter().map(|user| {
            let list = lists.get(user.as_str());
            let ignored = list.map(|list| Ignored::parse(user, list));
            (user.to_owned(), Arc::new(ignored.unwrap_or_default()))
        });
        let read: Vec<_> = read.collect();
        let changes = self.changes();
        for (user, ignored) in read {
            if *changes == before {
                self.cache.insert(user.clone(), Arc::clone(&ignored));
            }
            found.insert(user, ignored);
        }
        Ok(found)
    }

    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Ignores {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, logged) in changes {
            if let Logged::AccountData(data) = logged.as_ref()
                && data.room.is_none()
                && data.event_type == TYPE
            {
                let mut changes = self.changes();
                *changes = changes.wrapping_add(1);
                self.cache.remove(&data.user_id);
            }
        }
    }
}
