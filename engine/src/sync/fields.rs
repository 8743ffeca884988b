//! `event_fields`: only some fields of the events. Client-server API, "Filtering".

use ruma::{
    api::client::sync::sync_events::v3::{Response, State, StateEvents, Timeline},
    serde::Raw,
};
use serde_json::{Map, Value};

/// Leaves only `fields` in the room events of a response: dotted paths, where `\.` is a dot in a name and `\\` a
/// backslash.
///
/// Events are parsed and written anew: the cost of the few clients that ask for it.
pub(super) fn trim(response: &mut Response, fields: &[String]) {
    let paths: Vec<Vec<String>> = fields.iter().map(|field| path(field)).collect();
    for room in response.rooms.join.values_mut() {
        trim_room(&mut room.timeline, &mut room.state, &paths);
    }
    for room in response.rooms.leave.values_mut() {
        trim_room(&mut room.timeline, &mut room.state, &paths);
    }
}

fn trim_room(timeline: &mut Timeline, state: &mut State, paths: &[Vec<String>]) {
    trim_all(&mut timeline.events, paths);
    if let State::Before(StateEvents { events, .. }) | State::After(StateEvents { events, .. }) =
        state
    {
        trim_all(events, paths);
    }
}

fn trim_all<T>(events: &mut [Raw<T>], paths: &[Vec<String>]) {
    for event in events {
        let Ok(Value::Object(whole)) = serde_json::from_str(event.json().get()) else {
            continue;
        };
        if let Ok(json) = serde_json::value::to_raw_value(&trimmed(&whole, paths)) {
            *event = Raw::from_json(json);
        }
    }
}

/// A copy with what the paths lead to.
fn trimmed(whole: &Map<String, Value>, paths: &[Vec<String>]) -> Map<String, Value> {
    let mut part = Map::new();
    for path in paths {
        copy(whole, &mut part, path);
    }
    part
}

fn copy(whole: &Map<String, Value>, part: &mut Map<String, Value>, path: &[String]) {
    let Some((name, deeper)) = path.split_first() else {
        return;
    };
    match whole.get(name) {
        Some(value) if deeper.is_empty() => {
            part.insert(name.clone(), value.clone());
        }
        Some(Value::Object(inner)) => {
            let mut kept = match part.get_mut(name) {
                Some(Value::Object(kept)) => std::mem::take(kept),
                _ => Map::new(),
            };
            copy(inner, &mut kept, deeper);
            if !kept.is_empty() {
                part.insert(name.clone(), Value::Object(kept));
            }
        }
        _ => {}
    }
}

/// The names of a dotted path.
fn path(field: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut characters = field.chars().peekable();
    while let Some(character) = characters.next() {
        let last = names.last_mut().expect("it begins with one");
        match character {
            '.' => names.push(String::new()),
            '\\' if matches!(characters.peek(), Some('.' | '\\')) => last.extend(characters.next()),
            other => last.push(other),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_paths_lead_to_is_left() {
        let whole = json!({"type": "t", "content": {"a": {"b": 1, "c": 2}, "m.tz": 3, "d": 4}, "sender": "@a:b"});
        for (fields, expected) in [
            (vec!["type"], json!({"type": "t"})),
            (
                vec!["content.a.b", "content.a.c"],
                json!({"content": {"a": {"b": 1, "c": 2}}}),
            ),
            (
                vec!["content.a.b", "content.d"],
                json!({"content": {"a": {"b": 1}, "d": 4}}),
            ),
            (vec![r"content.m\.tz"], json!({"content": {"m.tz": 3}})),
            (
                vec!["content", "content.a.b"],
                json!({"content": whole["content"]}),
            ),
            (vec!["none", "content.none.deep", "type.deep"], json!({})),
        ] {
            let paths: Vec<_> = fields.iter().map(|field| path(field)).collect();
            let found = trimmed(whole.as_object().expect("an object"), &paths);
            assert_eq!(Value::Object(found), expected, "{fields:?}");
        }
    }
}
