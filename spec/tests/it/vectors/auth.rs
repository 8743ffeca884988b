//! The authorization rules.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedEventId;
use serde::Deserialize;
use spec::{
    auth::{self, State},
    event::Event,
    json::{Object, Value, encode_object},
    object,
    room_version::{Creator, References, RoomVersion},
};

use super::{read, versions};

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    room: Room,
    event: Said,
    expect: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct Room {
    #[serde(default)]
    empty: bool,
    #[serde(default)]
    create: Object,
    levels: Option<Value>,
    #[serde(default, deserialize_with = "set")]
    join_rule: Option<Option<String>>,
    #[serde(default)]
    members: BTreeMap<String, Option<String>>,
    #[serde(default)]
    state: Vec<Said>,
    /// Whether the creator stays among the users of power levels, where it must not be.
    #[serde(default)]
    keep_creator: bool,
}

/// Tells a null from what is left out.
fn set<'de, D: serde::Deserializer<'de>>(de: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(de).map(Some)
}

#[derive(Deserialize, Clone)]
struct Said {
    sender: String,
    #[serde(rename = "type")]
    event_type: String,
    state_key: Option<String>,
    #[serde(default)]
    content: Object,
    prev: Option<Vec<String>>,
    redacts: Option<String>,
    event_id: Option<String>,
    room_id: Option<String>,
    #[serde(default)]
    rejected: bool,
    #[serde(default)]
    other_room: bool,
}

const CREATOR: &str = "@alice:a";

struct Built {
    events: BTreeMap<(String, String), Event>,
}

impl State for Built {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        self.events
            .get(&(event_type.to_owned(), state_key.to_owned()))
    }
}

fn event(version: &RoomVersion, said: &Said, id: &str) -> Event {
    let reference = |id: &str| match version.references {
        References::Ids => Value::from(id),
        References::Pairs => Value::Array(vec![id.into(), object! { "sha256" => "x" }.into()]),
    };
    let prev = said
        .prev
        .clone()
        .unwrap_or_else(|| vec!["$other".to_owned()]);
    let prev: Vec<Value> = prev
        .iter()
        .map(|id| {
            if id == "create" {
                reference("$create:a")
            } else {
                reference(id)
            }
        })
        .collect();
    let mut object = object! {
        "type" => said.event_type.as_str(),
        "sender" => said.sender.as_str(),
        "content" => said.content.clone(),
        "depth" => 5,
        "origin_server_ts" => 5,
        "prev_events" => Value::Array(prev),
        "auth_events" => Value::Array(Vec::new()),
        "hashes" => object! { "sha256" => "x" },
        "signatures" => Object::new(),
    };
    if let Some(key) = &said.state_key {
        object.insert("state_key".to_owned(), key.as_str().into());
    }
    if let Some(target) = &said.redacts {
        object.insert("redacts".to_owned(), target.as_str().into());
    }
    let is_create = said.event_type == "m.room.create";
    let named = !is_create || !version.auth.implied_create;
    let other = if said.other_room {
        Some("!other:a")
    } else {
        None
    };
    let usual = if version.auth.implied_create {
        "!create:a"
    } else {
        "!room:a"
    };
    let room_id = said.room_id.as_deref().or(other).or(named.then_some(usual));
    if let Some(room_id) = room_id {
        object.insert("room_id".to_owned(), room_id.into());
    }
    let id = OwnedEventId::try_from(id).unwrap();
    Event::from_stored(version, id, &encode_object(&object)).unwrap()
}

fn state_of(version: &RoomVersion, room: &Room) -> Built {
    let mut built = Built {
        events: BTreeMap::new(),
    };
    if room.empty {
        return built;
    }
    let mut add = |said: &Said, id: &str| {
        let key = said.state_key.clone().unwrap();
        built
            .events
            .insert((said.event_type.clone(), key), event(version, said, id));
    };
    let state = |event_type: &str, key: &str, content: Object| Said {
        sender: CREATOR.to_owned(),
        event_type: event_type.to_owned(),
        state_key: Some(key.to_owned()),
        content,
        prev: Some(Vec::new()),
        redacts: None,
        event_id: None,
        room_id: None,
        rejected: false,
        other_room: false,
    };
    let mut create = object! { "room_version" => version.id() };
    if version.auth.creator == Creator::Content {
        create.insert("creator".to_owned(), CREATOR.into());
    }
    create.extend(room.create.clone());
    add(&state("m.room.create", "", create), "$create:a");
    let levels = match &room.levels {
        Some(Value::Object(levels)) => Some(levels.clone()),
        Some(_) => None,
        None => Some(object! { "users" => object! { CREATOR => 100, "@mod:a" => 50 } }),
    };
    if let Some(levels) = levels {
        let content = without_creator(version, room, levels);
        add(&state("m.room.power_levels", "", content), "$levels:a");
    }
    if let Some(rule) = room
        .join_rule
        .clone()
        .unwrap_or_else(|| Some("invite".to_owned()))
    {
        add(
            &state("m.room.join_rules", "", object! { "join_rule" => rule }),
            "$rule:a",
        );
    }
    let mut members: BTreeMap<String, Option<String>> = room.members.clone();
    for user in [CREATOR, "@mod:a"] {
        members
            .entry(user.to_owned())
            .or_insert(Some("join".to_owned()));
    }
    for (user, membership) in members {
        let Some(membership) = membership else {
            continue;
        };
        let content = object! { "membership" => membership };
        let id = format!("$member-{}", &user[1..]);
        add(
            &Said {
                sender: user.clone(),
                ..state("m.room.member", &user, content)
            },
            &id,
        );
    }
    for said in &room.state {
        add(said, "$more:a");
    }
    built
}

/// From version 12 on, the creator has no place among the users.
fn without_creator(version: &RoomVersion, room: &Room, mut levels: Object) -> Object {
    if version.auth.privileged_creators
        && !room.keep_creator
        && let Some(Value::Object(users)) = levels.get_mut("users")
    {
        users.remove(CREATOR);
    }
    levels
}

/// Runs one file's cases in all versions that they name, and notes which rules refused.
fn run(file: &str, refused: &mut BTreeSet<&'static str>) {
    for case in read::<Vec<Case>>(file) {
        for (range, expected) in &case.expect {
            for version in versions(range) {
                let state = state_of(version, &case.room);
                let mut said = case.event.clone();
                if said.event_type == "m.room.power_levels" {
                    said.content = without_creator(version, &case.room, said.content);
                }
                let id = said
                    .event_id
                    .clone()
                    .unwrap_or_else(|| "$event:a".to_owned());
                let outcome = auth::check(version, &event(version, &said, &id), &state);
                refused.extend(outcome.err().map(auth::Denied::rule));
                let outcome = outcome.err().map_or("allow", auth::Denied::rule);
                assert_eq!(
                    outcome, expected,
                    "{file}: {} in version {version}",
                    case.name
                );
            }
        }
    }
}

#[derive(Deserialize)]
struct AuthEvents {
    name: String,
    event: Said,
    auth_events: Vec<Said>,
    expect: BTreeMap<String, String>,
}

fn run_auth_events(refused: &mut BTreeSet<&'static str>) {
    for case in read::<Vec<AuthEvents>>("auth/auth_events.json") {
        for (range, expected) in &case.expect {
            for version in versions(range) {
                let auth: Vec<(Event, bool)> = case
                    .auth_events
                    .iter()
                    .map(|said| (event(version, said, "$auth:a"), said.rejected))
                    .collect();
                let outcome = auth::check_auth_events(
                    version,
                    &event(version, &case.event, "$event:a"),
                    auth.iter().map(|(event, rejected)| (event, *rejected)),
                );
                refused.extend(outcome.err().map(auth::Denied::rule));
                let outcome = outcome.err().map_or("allow", auth::Denied::rule);
                assert_eq!(outcome, expected, "{} in version {version}", case.name);
            }
        }
    }
}

/// Every case as expected, and no rule without a case that it refuses.
#[test]
fn authorization() {
    let mut refused = BTreeSet::new();
    for file in [
        "auth/create.json",
        "auth/member.json",
        "auth/event.json",
        "auth/power_levels.json",
    ] {
        run(file, &mut refused);
    }
    run_auth_events(&mut refused);
    let missed: Vec<_> = auth::Denied::ALL
        .iter()
        .map(|denied| denied.rule())
        .filter(|rule| !refused.contains(rule))
        .collect();
    assert!(missed.is_empty(), "no case is refused by {missed:?}");
}
