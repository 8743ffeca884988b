//! Who has rules of their own, and what these are. Bounded caches, kept right by the log.

use std::{collections::BTreeSet, sync::Arc};

use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId, push::Ruleset};
use storage::{
    RoomRow, account_data,
    members::{self, Membership},
    notifications,
};

use super::rules::{self, PUSH_RULES};
use crate::{Result, context::Context};

/// The type of account data that holds whom a user ignores.
pub(super) const IGNORED_USERS: &str = "m.ignored_user_list";

/// How many users' rules are remembered. Parsed, they take some 10 KiB.
const USERS_MAX: usize = 2_000;

/// For how many rooms it is remembered who has rules of their own.
const ROOMS_MAX: usize = 10_000;

/// What one user wants to be notified of.
pub(super) struct Rules {
    pub(super) ruleset: Ruleset,
    /// Whether any of it is the user's own doing.
    pub(super) personal: bool,
}

impl Rules {
    /// Whether a rule speaks of the user's name in the room.
    pub(super) fn names_the_user(&self) -> bool {
        let all = self.ruleset.override_.iter().chain(&self.ruleset.underride);
        let mut conditions = all.flat_map(|rule| &rule.conditions);
        self.personal && conditions.any(|condition| condition.kind() == "contains_display_name")
    }
}

/// What is remembered of users and rooms.
pub(super) struct Personal {
    users: Cache<OwnedUserId, Arc<Rules>>,
    /// The local users in a room who have rules of their own.
    rooms: Cache<RoomRow, Arc<BTreeSet<OwnedUserId>>>,
}

impl Default for Personal {
    fn default() -> Self {
        Self {
            users: Cache::new(USERS_MAX),
            rooms: Cache::new(ROOMS_MAX),
        }
    }
}

impl Context {
    /// What a user wants to be notified of. Two queries unless it is in memory.
    pub(super) async fn rules_of(&self, user: &UserId) -> Result<Arc<Rules>> {
        let users = &self.scores.personal.users;
        if let Some(rules) = users.get(user) {
            return Ok(rules);
        }
        let db = self.store.reader();
        let stored = account_data::find(db, user, None, PUSH_RULES).await?;
        let ignores_nobody = self.ignores.of(user).await?.is_empty();
        let rules = Arc::new(Rules {
            ruleset: rules::parse(user, stored.as_deref())?,
            personal: stored.is_some() || !ignores_nobody,
        });
        users.insert(user.to_owned(), rules.clone());
        Ok(rules)
    }

    /// The local users in a room who have rules of their own. One query unless it is in memory.
    pub(super) async fn personal_in(&self, room: RoomRow) -> Result<Arc<BTreeSet<OwnedUserId>>> {
        let rooms = &self.scores.personal.rooms;
        if let Some(users) = rooms.get(&room) {
            return Ok(users);
        }
        let types = [PUSH_RULES, IGNORED_USERS];
        let found =
            notifications::joined_with_account_data(self.store.reader(), room, &types).await?;
        let users = found.iter().filter_map(|user| UserId::parse(user).ok());
        let users = Arc::new(users.collect::<BTreeSet<_>>());
        rooms.insert(room, users.clone());
        Ok(users)
    }

    /// A local user has joined a room, or is in it no more.
    pub(super) async fn personal_moves(
        &self,
        room: RoomRow,
        user: &UserId,
        joined: bool,
    ) -> Result<()> {
        let Some(mut users) = self.scores.personal.rooms.get(&room) else {
            return Ok(());
        };
        if joined && self.rules_of(user).await?.personal {
            Arc::make_mut(&mut users).insert(user.to_owned());
        } else if !joined && users.contains(user) {
            Arc::make_mut(&mut users).remove(user);
        } else {
            return Ok(());
        }
        self.scores.personal.rooms.insert(room, users);
        Ok(())
    }

    /// A user has changed their rules, or whom they ignore. One query.
    pub(super) async fn personal_changes(&self, user: &UserId) -> Result<()> {
        let Personal { users, rooms } = &self.scores.personal;
        users.remove(user);
        let joined = members::of_user(self.store.reader(), user, &[Membership::Join]).await?;
        for member in joined {
            if let Some(mut users) = rooms.get(&member.room) {
                Arc::make_mut(&mut users).insert(user.to_owned());
                rooms.insert(member.room, users);
            }
        }
        Ok(())
    }

    /// Forgets all of it.
    pub(super) fn forget_personal(&self) {
        self.scores.personal.users.clear();
        self.scores.personal.rooms.clear();
    }
}
