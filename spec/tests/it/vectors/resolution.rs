//! State resolution: graphs, and the state that some of their events resolve to.

use std::collections::BTreeMap;

use serde::Deserialize;
use spec::{
    fixture::{RoomFixture, Say},
    json::Object,
    resolve::Source as _,
    room_version::StateResolution,
};

use super::{read, versions};
use crate::ruma_room::RumaRoom;

#[derive(Deserialize)]
struct Case {
    name: String,
    /// The creator, who is in the room and has all power, is `@alice:a`.
    join_rule: String,
    events: Vec<Event>,
    /// The states after these events are resolved.
    resolve: Vec<String>,
    /// What is different in each of these states, as on a server that has lost or kept too much.
    #[serde(default)]
    changed: Vec<BTreeMap<String, Option<String>>>,
    /// By versions: the event that holds a slot, `null` for none.
    expect: BTreeMap<String, BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
struct Event {
    name: String,
    /// After the event before, if nothing is named.
    after: Option<Vec<String>>,
    /// The auth events that the state gives, if nothing is named.
    auth: Option<Vec<String>>,
    sender: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    content: Object,
    /// Seconds from when the branches begin; a second after the event before, if nothing is said.
    at: Option<i64>,
    #[serde(default)]
    rejected: bool,
}

fn build(case: &Case, version: &str) -> (RoomFixture, BTreeMap<String, usize>) {
    let mut room = RoomFixture::new(version, "@alice:a", &case.join_rule);
    let mut names: BTreeMap<String, usize> = ["create", "alice", "levels", "rules"]
        .iter()
        .enumerate()
        .map(|(key, name)| ((*name).to_owned(), key))
        .collect();
    for event in &case.events {
        let keys = |named: &Vec<String>| -> Vec<usize> {
            let key = |name| names.get(name).unwrap_or_else(|| panic!("no event {name}"));
            named.iter().map(key).copied().collect()
        };
        let prev = event
            .after
            .as_ref()
            .map_or_else(|| room.heads().to_vec(), keys);
        if let Some(at) = event.at {
            room.set_clock(1_700_000_100_000 + (at - 1) * 1000);
        }
        let mut content = event.content.clone();
        if room.version().auth.privileged_creators
            && let Some(spec::json::Value::Object(users)) = content.get_mut("users")
        {
            users.remove("@alice:a");
        }
        let say = Say::state(&event.sender, &event.event_type, &event.state_key, content);
        let key = match &event.auth {
            None => room.add_after(&prev, say),
            Some(auth) => {
                let mut auth = keys(auth);
                if room.version().auth.implied_create {
                    auth.retain(|key| *key != 0);
                }
                room.add_with_auth(&prev, &auth, say)
            }
        };
        if event.rejected {
            room.reject(key);
        }
        names.insert(event.name.clone(), key);
    }
    (room, names)
}

fn run(file: &str) {
    for case in read::<Vec<Case>>(file) {
        for (range, expected) in &case.expect {
            for version in versions(range) {
                let (room, names) = build(&case, version.id());
                let states = states(&case, &room, &names);
                let resolved = resolve(&room, &states);
                for (slot, expected) in expected {
                    let (event_type, state_key) = slot.split_once('|').unwrap();
                    let slot_number = room.slot(event_type, state_key);
                    let holder = slot_number.and_then(|slot| resolved.get(&slot)).map(|key| {
                        names
                            .iter()
                            .find(|(_, number)| *number == key)
                            .unwrap()
                            .0
                            .as_str()
                    });
                    assert_eq!(
                        holder,
                        expected.as_deref(),
                        "{}: {slot} in {version}",
                        case.name
                    );
                }
                if version.state_resolution != StateResolution::V1 {
                    same_as_ruma(&room, &states, &resolved, &case.name);
                }
            }
        }
    }
}

type State = Vec<(usize, usize)>;

fn states(case: &Case, room: &RoomFixture, names: &BTreeMap<String, usize>) -> Vec<State> {
    let state = |(index, name): (usize, &String)| {
        let mut state = room.state_after(names[name]);
        for (slot, holder) in case.changed.get(index).into_iter().flatten() {
            let (event_type, state_key) = slot.split_once('|').unwrap();
            let slot = room.slot(event_type, state_key).unwrap();
            match holder {
                Some(holder) => state.insert(slot, names[holder]),
                None => state.remove(&slot),
            };
        }
        state.into_iter().collect()
    };
    case.resolve.iter().enumerate().map(state).collect()
}

/// The resolution, which must be the same in whatever order the states come.
fn resolve(room: &RoomFixture, states: &[State]) -> BTreeMap<usize, usize> {
    let mut states: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
    let resolved = spec::resolve::resolve(room.version(), &states, room).unwrap();
    states.reverse();
    assert_eq!(
        spec::resolve::resolve(room.version(), &states, room).as_ref(),
        Ok(&resolved)
    );
    resolved.into_iter().collect()
}

fn same_as_ruma(
    room: &RoomFixture,
    states: &[State],
    resolved: &BTreeMap<usize, usize>,
    name: &str,
) {
    if states.is_empty() {
        return;
    }
    let name_of = |slot: usize| {
        let (event_type, state_key) = room.slot_name(slot);
        format!("{event_type}|{state_key}")
    };
    let ours: BTreeMap<String, usize> = resolved
        .iter()
        .map(|(slot, key)| (name_of(*slot), *key))
        .collect();
    assert_eq!(
        ours,
        RumaRoom::new(room).resolve(states),
        "{name} in {}, by ruma",
        room.version()
    );
}

#[test]
fn state_resolution() {
    for file in ["resolution/conflicts.json", "resolution/resets.json"] {
        run(file);
    }
}
