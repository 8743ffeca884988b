//! Power levels: what they are in a state, and who may change them how.
//!
//! Source: each room version's rules for `m.room.power_levels`; client-server API, `m.room.power_levels`; room
//! versions 1 and 6, "events accept values as strings" and "… as floats".

use std::collections::{BTreeMap, BTreeSet};

use ruma::UserId;

use super::{Create, Denied};
use crate::{
    event::Event,
    json::{Object, Value},
    room_version::{Levels, RoomVersion},
};

/// How much a user may do. Creators of room version 12 stand above every level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    Level(i64),
    Infinite,
}

/// The levels that stand alone in the content.
const NAMED: [&str; 7] = [
    "users_default",
    "events_default",
    "state_default",
    "ban",
    "redact",
    "kick",
    "invite",
];

/// The power levels in force in a state, from its power levels event or the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerLevels {
    content: Content,
    /// Whether there is a power levels event at all.
    present: bool,
    creator: Option<String>,
    privileged: BTreeSet<String>,
}

/// What a power levels event holds, as integers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    /// In the order of [`NAMED`]; `None` where the event says nothing.
    named: [Option<i64>; 7],
    users: BTreeMap<String, i64>,
    events: BTreeMap<String, i64>,
    notifications: BTreeMap<String, i64>,
}

impl PowerLevels {
    /// The levels of a state with these two events. What the power levels event holds that is no level
    /// counts as absent; such an event does not pass the rules.
    pub fn parse(version: &RoomVersion, create: &Event, power_levels: Option<&Event>) -> Self {
        Self::of(version, Some(&Create::parse(version, create)), power_levels)
    }

    pub(crate) fn of(
        version: &RoomVersion,
        create: Option<&Create>,
        power_levels: Option<&Event>,
    ) -> Self {
        let levels = version.auth.levels;
        Self {
            content: power_levels
                .map(|event| Content::read(levels, event.content()))
                .unwrap_or_default(),
            present: power_levels.is_some(),
            creator: create.and_then(Create::creator).map(ToOwned::to_owned),
            privileged: create
                .map(|create| create.privileged().clone())
                .unwrap_or_default(),
        }
    }

    /// The power of a user, whether in the room or not.
    pub fn user(&self, user: &str) -> Power {
        if self.privileged.contains(user) {
            return Power::Infinite;
        }
        Power::Level(match self.content.users.get(user) {
            Some(level) => *level,
            None if !self.present && self.creator.as_deref() == Some(user) => 100,
            None => self.users_default(),
        })
    }

    /// The level that sending an event of this type needs. Members and, in part, redactions follow other rules.
    pub fn for_event(&self, event_type: &str, is_state: bool) -> i64 {
        let [_, events_default, state_default, ..] = self.content.named;
        let default = if is_state {
            state_default.unwrap_or(50)
        } else {
            events_default.unwrap_or(0)
        };
        self.content
            .events
            .get(event_type)
            .copied()
            .unwrap_or(default)
    }

    /// The level of users who are not listed.
    pub fn users_default(&self) -> i64 {
        self.content.named[0].unwrap_or(0)
    }

    /// The level for banning and unbanning; 50 unless set.
    pub fn ban(&self) -> i64 {
        self.content.named[3].unwrap_or(50)
    }

    /// The level for redacting what others sent; 50 unless set.
    pub fn redact(&self) -> i64 {
        self.content.named[4].unwrap_or(50)
    }

    /// The level for removing users; 50 unless set.
    pub fn kick(&self) -> i64 {
        self.content.named[5].unwrap_or(50)
    }

    /// The level for inviting; 0 unless set.
    pub fn invite(&self) -> i64 {
        self.content.named[6].unwrap_or(0)
    }

    /// The level for a kind of notification; for `room`, 50 unless set.
    pub fn notification(&self, kind: &str) -> i64 {
        self.content.notifications.get(kind).copied().unwrap_or(50)
    }

    /// The users whom the event lists, with their levels, in the order of their IDs.
    pub fn users(&self) -> impl Iterator<Item = (&str, i64)> {
        self.content
            .users
            .iter()
            .map(|(user, level)| (user.as_str(), *level))
    }
}

impl Content {
    fn read(levels: Levels, content: &Object) -> Self {
        let map = |name| -> BTreeMap<String, i64> {
            let entries = content
                .get(name)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            entries
                .filter_map(|(key, value)| Some((key.clone(), level(levels, value)?)))
                .collect()
        };
        Self {
            named: NAMED.map(|name| content.get(name).and_then(|value| level(levels, value))),
            users: map("users"),
            events: map("events"),
            notifications: map("notifications"),
        }
    }
}

/// The level that a value stands for, as this room version reads it.
pub(crate) fn level(levels: Levels, value: &Value) -> Option<i64> {
    match value {
        Value::Integer(level) => Some(*level),
        Value::String(text) if levels != Levels::Integers => {
            let text = text.trim();
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { text.parse().ok() } else { None }
        }
        // Truncated; the conversion stops at the ends of the range.
        Value::Float(number) if levels == Levels::Loose => Some(number.trunc() as i64),
        Value::Loose(digits) if levels == Levels::Loose => {
            let limit = if digits.starts_with('-') {
                i64::MIN
            } else {
                i64::MAX
            };
            Some(digits.parse().unwrap_or(limit))
        }
        _ => None,
    }
}

/// The rule for power levels events. `current` are the levels in force, `power` is the sender's.
pub(super) fn check(
    version: &RoomVersion,
    event: &Event,
    create: &Create,
    current: &PowerLevels,
    power: Power,
) -> Result<(), Denied> {
    let content = event.content();
    check_values(version, content)?;
    let new = Content::read(version.auth.levels, content);
    if new
        .users
        .keys()
        .any(|user| create.privileged().contains(user))
    {
        return Err(Denied::LevelsNameCreator);
    }
    if !current.present {
        return Ok(());
    }
    let old = &current.content;
    for (old, new) in old.named.into_iter().zip(new.named) {
        check_change(old, new, power)?;
    }
    check_map(&old.events, &new.events, power)?;
    if version.auth.check_notifications {
        check_map(&old.notifications, &new.notifications, power)?;
    }
    for (user, old) in &old.users {
        let changed = new.users.get(user) != Some(old);
        if changed && user != event.sender().as_str() && Power::Level(*old) >= power {
            return Err(Denied::LevelsChangeEqual);
        }
    }
    for (user, new) in &new.users {
        let changed = old.users.get(user) != Some(new);
        if changed && Power::Level(*new) > power {
            return Err(Denied::LevelsRaiseAboveOwn);
        }
    }
    Ok(())
}

/// Whether all levels of a new event are such.
///
/// Before room version 10 the text asks this of `users` only; but a level that cannot be read cannot be
/// compared, and Synapse refuses it as well.
fn check_values(version: &RoomVersion, content: &Object) -> Result<(), Denied> {
    check_values_as(version.auth.levels, version, content)
}

/// Whether all levels of an event that is made now are integers: in versions that read more as a level, nobody is to
/// send it any more. Room version 1, "events accept values as strings": "new events must not".
///
/// # Errors
/// [`Denied::LevelsMalformed`], [`Denied::LevelsUsersMalformed`].
pub fn check_new_levels(version: &RoomVersion, content: &Object) -> Result<(), Denied> {
    check_values_as(Levels::Integers, version, content)
}

fn check_values_as(levels: Levels, version: &RoomVersion, content: &Object) -> Result<(), Denied> {
    let is_level = |value: &Value| level(levels, value).is_some();
    if NAMED
        .iter()
        .any(|name| content.get(*name).is_some_and(|value| !is_level(value)))
    {
        return Err(Denied::LevelsMalformed);
    }
    let maps: &[&str] = if version.auth.check_notifications {
        &["events", "notifications"]
    } else {
        &["events"]
    };
    for name in maps {
        let levels = |value: &Value| {
            value
                .as_object()
                .is_some_and(|entries| entries.values().all(is_level))
        };
        if content.get(*name).is_some_and(|value| !levels(value)) {
            return Err(Denied::LevelsMalformed);
        }
    }
    let users = |value: &Value| {
        value.as_object().is_some_and(|entries| {
            entries
                .iter()
                .all(|(user, value)| UserId::parse(user).is_ok() && is_level(value))
        })
    };
    if content.get("users").is_some_and(|value| !users(value)) {
        return Err(Denied::LevelsUsersMalformed);
    }
    Ok(())
}

fn check_map(
    old: &BTreeMap<String, i64>,
    new: &BTreeMap<String, i64>,
    power: Power,
) -> Result<(), Denied> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .try_for_each(|key| check_change(old.get(key).copied(), new.get(key).copied(), power))
}

/// One level: neither what it was nor what it becomes may be above the sender's own.
fn check_change(old: Option<i64>, new: Option<i64>, power: Power) -> Result<(), Denied> {
    if old == new {
        return Ok(());
    }
    if old.is_some_and(|old| Power::Level(old) > power) {
        return Err(Denied::LevelsChangeHigher);
    }
    if new.is_some_and(|new| Power::Level(new) > power) {
        return Err(Denied::LevelsRaiseAboveOwn);
    }
    Ok(())
}
