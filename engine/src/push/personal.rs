//! Who has rules of their own, and what these are. Bounded caches, kept right by the log.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};
use ruma::{
    OwnedUserId, UserId,
    push::{ConditionalPushRule, PushCondition, Ruleset},
};
use storage::{
    RoomRow, account_data,
    members::{self, Membership},
    notifications,
};

use super::{
    defaults,
    rules::{self, PUSH_RULES},
};
use crate::{Result, context::Context};

/// The type of account data that holds whom a user ignores.
pub(super) const IGNORED_USERS: &str = "m.ignored_user_list";

/// How many bytes the rules of users may take in memory together. Those of somebody who has changed some take about 12 KiB.
const RULES_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// How many bytes a user takes who has the default rules.
const BYTES_MIN: u64 = 256;

/// For how many rooms it is remembered who has rules of their own.
const ROOMS_MAX: usize = 10_000;

/// What one user wants to be notified of.
pub(super) struct Rules {
    /// `None`: the default rules.
    own: Option<Ruleset>,
    /// Whether any of it is the user's own doing.
    personal: bool,
    /// Whether a rule speaks of the user's name in the room.
    pub(super) names_the_user: bool,
    /// Whether a rule that the user has added asks what the sender may do.
    pub(super) asks_for_power: bool,
    /// Whether a rule asks which threads the user follows.
    pub(super) asks_for_threads: bool,
    bytes: u64,
}

impl Rules {
    fn new(user: &UserId, stored: Option<&str>, ignores_nobody: bool) -> Result<Self> {
        let own = stored.map(|stored| rules::parse(user, Some(stored)));
        let own = own.transpose()?;
        let asks_for_threads = own
            .iter()
            .flat_map(conditional)
            .flat_map(|rule| &rule.conditions)
            .any(|condition| matches!(condition, PushCondition::ThreadSubscription(_)));
        let added = own
            .iter()
            .flat_map(conditional)
            .filter(|rule| !rule.default);
        let kinds: BTreeSet<&str> = added
            .flat_map(|rule| &rule.conditions)
            .map(PushCondition::kind)
            .collect();
        Ok(Self {
            personal: stored.is_some() || !ignores_nobody,
            names_the_user: kinds.contains("contains_display_name"),
            asks_for_power: kinds.contains("sender_notification_permission"),
            asks_for_threads,
            // Parsed they take about twice what they take as JSON.
            bytes: BYTES_MIN + 2 * stored.map_or(0, str::len) as u64,
            own,
        })
    }

    /// All of them.
    pub(super) fn ruleset(&self, user: &UserId) -> Cow<'_, Ruleset> {
        match &self.own {
            Some(own) => Cow::Borrowed(own),
            None => Cow::Owned(defaults::of(user)),
        }
    }
}

/// The rules that have conditions.
fn conditional(rules: &Ruleset) -> impl Iterator<Item = &ConditionalPushRule> {
    let lists = [&rules.override_, &rules.postcontent, &rules.underride];
    lists.into_iter().flatten()
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<OwnedUserId, Arc<Rules>> for ByBytes {
    fn weight(&self, _: &OwnedUserId, rules: &Arc<Rules>) -> u64 {
        rules.bytes
    }
}

/// What is remembered of users and rooms.
pub(super) struct Personal {
    users: Cache<OwnedUserId, Arc<Rules>, ByBytes>,
    /// The local users in a room who have rules of their own.
    rooms: Cache<RoomRow, Arc<BTreeSet<OwnedUserId>>>,
}

impl Default for Personal {
    fn default() -> Self {
        Self {
            users: Cache::with_weighter(4_096, RULES_BYTES_MAX, ByBytes),
            rooms: Cache::new(ROOMS_MAX),
        }
    }
}

impl Context {
    /// What each of these users wants to be notified of. Two queries for 256 of those who are not in memory.
    pub(super) async fn rules_of(
        &self,
        users: &[&UserId],
    ) -> Result<HashMap<OwnedUserId, Arc<Rules>>> {
        let known = &self.scores.personal.users;
        let (mut found, mut missing) = (HashMap::with_capacity(users.len()), Vec::new());
        for user in users {
            match known.get(*user) {
                Some(rules) => drop(found.insert((*user).to_owned(), rules)),
                None => missing.push(*user),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let db = self.store.reader();
        let stored = account_data::of_users(db, &missing, PUSH_RULES).await?;
        let stored: HashMap<String, String> = stored.into_iter().collect();
        let ignored = self.ignores.of_many(&missing).await?;
        for user in missing {
            let stored = stored.get(user.as_str()).map(String::as_str);
            let ignores_nobody = ignored.get(user).is_none_or(|ignored| ignored.is_empty());
            let rules = Arc::new(Rules::new(user, stored, ignores_nobody)?);
            known.insert(user.to_owned(), Arc::clone(&rules));
            found.insert(user.to_owned(), rules);
        }
        Ok(found)
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
        let is_personal = match joined {
            true => self
                .rules_of(&[user])
                .await?
                .get(user)
                .is_some_and(|rules| rules.personal),
            false => false,
        };
        if is_personal {
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
    pub(crate) fn forget_personal(&self) {
        self.scores.personal.users.clear();
        self.scores.personal.rooms.clear();
    }
}
