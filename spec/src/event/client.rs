//! Events as clients see them.

use super::Event;
use crate::{
    json::{Object, Value},
    room_version::{Redacts, RoomVersion},
};

/// The event in client format, with `room_id` and with this `unsigned` (left out if empty).
///
/// What only servers need is left out; what we do not know stays. A redaction names its target in both
/// places, wherever its room version puts it. Source: client-server API, "Room event format".
pub fn client_json(version: &RoomVersion, event: &Event, unsigned: Object) -> Object {
    let mut json: Object = event
        .object()
        .iter()
        .filter(|(key, _)| !is_for_servers(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    json.insert("event_id".to_owned(), event.id().as_str().into());
    json.insert("room_id".to_owned(), event.room_id().as_str().into());
    if let Some(target) = event.redacts() {
        let target = Value::from(target.as_str());
        match version.redacts {
            Redacts::Content => drop(json.insert("redacts".to_owned(), target)),
            Redacts::TopLevel => {
                if let Some(Value::Object(content)) = json.get_mut("content") {
                    content.insert("redacts".to_owned(), target);
                }
            }
        }
    }
    if !unsigned.is_empty() {
        json.insert("unsigned".to_owned(), unsigned.into());
    }
    json
}

/// The stripped form of a state event: sender, type, state key and content, no more.
///
/// Source: client-server API, "Stripped state".
pub fn stripped(event: &Event) -> Object {
    ["content", "sender", "state_key", "type"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), event.object().get(key)?.clone())))
        .collect()
}

fn is_for_servers(key: &str) -> bool {
    matches!(
        key,
        "auth_events"
            | "prev_events"
            | "prev_state"
            | "hashes"
            | "signatures"
            | "depth"
            | "origin"
            | "unsigned"
    )
}
