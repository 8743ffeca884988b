//! What a room hands on to the one that replaces it: client-server API, "Room Upgrades".
//!
//! The text leaves the details to servers; where nothing else is said, this follows Synapse.

use std::collections::BTreeSet;

use crate::{
    auth::level,
    json::{MAX_INTEGER, Object, Value},
    object,
    room_version::{Levels, RoomVersion},
};

/// The state that the new room gets as the old one has it, each with an empty state key; power levels and aliases need
/// more care.
pub const COPIED: [&str; 8] = [
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
    "m.room.server_acl",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
];

/// What of the old create event the new one keeps.
pub const KEPT_OF_CREATE: [&str; 2] = ["type", "m.federate"];

/// The type of the events that link the rooms of a space; a space keeps them.
pub const SPACE_CHILD: &str = "m.space.child";

/// The level of a tombstone in a room whose creators stand above all levels: room version 12.
const TOMBSTONE_LEVEL: i64 = 150;

/// The least level that an unlisted user needs to write or to invite in a room that was replaced.
const RESTRICTED_LEVEL: i64 = 50;

/// The power levels of the new room.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLevels {
    /// While its state is copied: whoever upgrades has the power for that.
    pub during: Object,
    /// Afterwards: as in the old room.
    pub after: Object,
}

/// The power levels for a room of version `to` by those of the old room, of version `from`; `None`: it has none.
///
/// `upgrader` creates the new room. `creators` have all power in the new room besides; `former` had it in the old one.
pub fn new_levels(
    (from, old): (&RoomVersion, Option<&Object>),
    to: &RoomVersion,
    upgrader: &str,
    creators: &BTreeSet<String>,
    former: &BTreeSet<String>,
) -> NewLevels {
    let mut after = old.map_or_else(Object::new, |old| integers(from.auth.levels, old));
    let mut users = entries(&mut after, "users");
    let needed = level_to_copy(&after);
    if to.auth.privileged_creators {
        users.retain(|user, _| user != upgrader && !creators.contains(user));
        after.insert("users".to_owned(), Value::Object(users));
        if !from.auth.privileged_creators {
            let mut events = entries(&mut after, "events");
            let tombstone = events.get("m.room.tombstone").and_then(Value::as_i64);
            let tombstone = tombstone.unwrap_or(0).max(TOMBSTONE_LEVEL);
            events.insert("m.room.tombstone".to_owned(), Value::from(tombstone));
            after.insert("events".to_owned(), Value::Object(events));
        }
        return NewLevels {
            during: after.clone(),
            after,
        };
    }
    // Those above all levels have to stand in the list now, or the room would be without masters.
    for creator in former {
        users.insert(creator.clone(), Value::from(needed.max(100)));
    }
    after.insert("users".to_owned(), Value::Object(users.clone()));
    let own = users.get(upgrader).and_then(Value::as_i64);
    let default = after.get("users_default").and_then(Value::as_i64);
    if own.or(default).unwrap_or(0) < needed {
        users.insert(upgrader.to_owned(), Value::from(needed));
    }
    let mut during = after.clone();
    during.insert("users".to_owned(), Value::Object(users));
    NewLevels { during, after }
}

/// The power levels of a room of this version that was replaced: users without special power neither write nor invite any more.
/// `None`: they are so already.
pub fn restricted_levels(version: &RoomVersion, old: &Object) -> Option<Object> {
    let mut levels = integers(version.auth.levels, old);
    let default = levels.get("users_default").and_then(Value::as_i64);
    let least = default.unwrap_or(0).saturating_add(1).max(RESTRICTED_LEVEL);
    let mut changed = false;
    for key in ["events_default", "invite"] {
        let current = levels.get(key).and_then(Value::as_i64).unwrap_or(0);
        if current < least {
            levels.insert(key.to_owned(), Value::from(least.min(MAX_INTEGER)));
            changed = true;
        }
    }
    changed.then_some(levels)
}

/// A canonical alias event divided by who keeps what: the old room the aliases that stay, the new one those that move.
/// `None`: no alias moves, so that nothing is to be done.
pub fn divided_aliases(old: &Object, moved: &BTreeSet<String>) -> Option<(Object, Object)> {
    let moves = |alias: &Value| alias.as_str().is_some_and(|alias| moved.contains(alias));
    let (mut stay, mut go) = (old.clone(), Object::new());
    if let Some(alias) = old.get("alias").filter(|alias| moves(alias)) {
        go.insert("alias".to_owned(), alias.clone());
        stay.remove("alias");
    }
    let others = old.get("alt_aliases").and_then(Value::as_array);
    let (going, staying): (Vec<Value>, Vec<Value>) =
        others.unwrap_or_default().iter().cloned().partition(moves);
    if !going.is_empty() {
        go.insert("alt_aliases".to_owned(), Value::Array(going));
        stay.insert("alt_aliases".to_owned(), Value::Array(staying));
    }
    (!go.is_empty()).then_some((stay, go))
}

/// The content of a tombstone.
pub fn tombstone(replacement_room: &str) -> Object {
    object! { "body" => "This room has been replaced", "replacement_room" => replacement_room }
}

/// The level that setting any state, and banning, needs at most.
fn level_to_copy(levels: &Object) -> i64 {
    let named = |key: &str| levels.get(key).and_then(Value::as_i64).unwrap_or(50);
    let events = levels.get("events").and_then(Value::as_object);
    let events = events.into_iter().flat_map(Object::values);
    let highest = events.filter_map(Value::as_i64).max().unwrap_or(0);
    named("state_default").max(named("ban")).max(highest)
}

/// The object under a key, taken out; an empty one if there is none.
fn entries(levels: &mut Object, key: &str) -> Object {
    match levels.remove(key) {
        Some(Value::Object(entries)) => entries,
        _ => Object::new(),
    }
}

/// Power levels as every version reads them: what old versions take for a number becomes one, what is none goes.
fn integers(levels: Levels, old: &Object) -> Object {
    let number = |value: &Value| {
        let number = level(levels, value)?;
        Some(Value::from(number.clamp(-MAX_INTEGER, MAX_INTEGER)))
    };
    let read = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::Object(entries) => {
                let entries = entries.iter();
                let entries =
                    entries.filter_map(|(key, value)| Some((key.clone(), number(value)?)));
                let entries = entries.filter(|(user, _)| key != "users" || is_user(user));
                Value::Object(entries.collect())
            }
            value => number(value)?,
        };
        Some((key.clone(), value))
    };
    old.iter().filter_map(read).collect()
}

fn is_user(text: &str) -> bool {
    ruma::UserId::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{divided_aliases, new_levels, restricted_levels};
    use crate::{
        json::{Object, Value},
        object,
        room_version::RoomVersion,
    };

    fn version(id: &str) -> &'static RoomVersion {
        RoomVersion::get(id).expect("a version")
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// UPG-03: a moderator who may send the tombstone has the power to copy the room, and gives it back.
    #[test]
    fn whoever_upgrades_has_enough_power_while_they_need_it() {
        let old = object! {
            "users" => object! { "@mod:a" => 60, "@admin:a" => 100 },
            "events" => object! { "m.room.tombstone" => 60, "m.room.server_acl" => 90 },
        };
        let none = BTreeSet::new();
        let levels = new_levels(
            (version("9"), Some(&old)),
            version("11"),
            "@mod:a",
            &none,
            &none,
        );
        assert_eq!(levels.after, old);
        let users = object! { "@mod:a" => 90, "@admin:a" => 100 };
        assert_eq!(levels.during["users"], Value::Object(users));
        let none = BTreeSet::new();
        let admin = new_levels(
            (version("9"), Some(&old)),
            version("11"),
            "@admin:a",
            &none,
            &none,
        );
        assert_eq!(admin.during, admin.after);
    }

    /// UPG-03, UPG-06: levels that old rooms hold as text, and some that are no levels at all.
    #[test]
    fn odd_levels_become_numbers_or_go() {
        let users = object! {
            "@a:a" => "100", "@b:a" => " -5 ", "@c:a" => "much", "@d:a" => Value::Array(Vec::new()),
            "no user" => 7,
        };
        let old = object! { "users" => users, "users_default" => "60", "ban" => Value::Bool(true) };
        let none = BTreeSet::new();
        let levels = new_levels(
            (version("1"), Some(&old)),
            version("10"),
            "@a:a",
            &none,
            &none,
        );
        let users = object! { "@a:a" => 100, "@b:a" => -5 };
        let expected = object! { "users" => users, "users_default" => 60 };
        assert_eq!(levels.after, expected);
        let restricted = restricted_levels(version("1"), &old).expect("a change");
        assert_eq!(restricted["events_default"], Value::from(61));
        assert_eq!(restricted["invite"], Value::from(61));
        assert_eq!(restricted_levels(version("1"), &restricted), None);
    }

    /// UPG-04, UPG-05: creators are not listed in version 12, and the tombstone stands above all others.
    #[test]
    fn creators_leave_the_list_where_they_stand_above_it() {
        let old = object! {
            "users" => object! { "@a:a" => 100, "@b:a" => 100, "@c:a" => 100 },
            "events" => object! { "m.room.name" => 20 },
        };
        let (creators, none) = (set(&["@b:a"]), BTreeSet::new());
        let to = version("12");
        let levels = new_levels((version("11"), Some(&old)), to, "@a:a", &creators, &none);
        let expected = object! {
            "users" => object! { "@c:a" => 100 },
            "events" => object! { "m.room.name" => 20, "m.room.tombstone" => 150 },
        };
        assert_eq!((&levels.during, &levels.after), (&expected, &expected));

        let own = object! { "users" => object! { "@m:a" => 50 }, "events" => object! { "m.room.tombstone" => 50 } };
        let former = set(&["@a:a"]);
        let again = new_levels((to, Some(&own)), to, "@m:a", &none, &former);
        let expected =
            object! { "users" => Object::new(), "events" => object! { "m.room.tombstone" => 50 } };
        assert_eq!(
            again.after, expected,
            "former creators are not carried over"
        );

        let back = new_levels((to, Some(&own)), version("11"), "@a:a", &none, &former);
        let expected = object! { "@a:a" => 100, "@m:a" => 50 };
        assert_eq!(back.after["users"], Value::Object(expected));
    }

    #[test]
    fn the_old_room_keeps_the_aliases_that_lead_nowhere_else() {
        let alt = Value::Array(vec![Value::from("#c:a"), Value::from("#d:b")]);
        let old = object! { "alias" => "#a:a", "alt_aliases" => alt, "org.example" => 1 };
        let moved = set(&["#a:a", "#c:a", "#e:a"]);
        let (stay, go) = divided_aliases(&old, &moved).expect("some move");
        let list = |alias: &str| Value::Array(vec![Value::from(alias)]);
        assert_eq!(
            stay,
            object! { "alt_aliases" => list("#d:b"), "org.example" => 1 }
        );
        assert_eq!(
            go,
            object! { "alias" => "#a:a", "alt_aliases" => list("#c:a") }
        );
        assert_eq!(divided_aliases(&old, &set(&["#e:a"])), None);
        assert_eq!(divided_aliases(&Object::new(), &moved), None);
    }
}
