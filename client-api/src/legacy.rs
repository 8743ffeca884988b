//! What clients of before `/sync` ask for: client-server API, the deprecated event stream, and "Room previews".

pub(crate) mod get_events;
pub(crate) mod get_one_event;
pub(crate) mod initial_sync;

use serde_json::Value;

/// How long a client waits for events where it does not say, in ms.
const TIMEOUT_MS_DEFAULT: u64 = 30_000;

/// Takes a list out of a value; empty if there is none.
fn take(value: &mut Value, pointer: &str) -> Vec<Value> {
    match value.pointer_mut(pointer).map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// The events with the room that they are of, which `/sync` says once for all of them.
fn of_room(room_id: &str, mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        if event.is_object() {
            event["room_id"] = room_id.into();
        }
    }
    events
}
