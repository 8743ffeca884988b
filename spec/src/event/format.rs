//! The fields of an event, as its room version wants them.

use ruma::{OwnedEventId, RoomId, UserId};

use super::{Event, id, room_id_of_create};
use crate::{
    json::{JsonErrorKind, Object, Value},
    room_version::{Redacts, References, RoomVersion},
};

/// Why an object is not an event of its room version. Such an event is dropped, not rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A field is missing, or not of its type.
    #[error("the event's `{0}` is missing or malformed")]
    Field(&'static str),
    #[error("the event's `{0}` is longer than 255 bytes")]
    /// More than 255 bytes, or code points where the version counts these.
    FieldTooLong(&'static str),
    #[error("the event has {bytes} bytes, more than 65536")]
    /// More than [`MAX_BYTES`](super::MAX_BYTES).
    TooLarge { bytes: usize },
    #[error("the event's content is nested too deeply")]
    /// Nested more deeply than [`MAX_EVENT_DEPTH`](super::MAX_EVENT_DEPTH).
    TooDeep,
    #[error("the event names more than 20 previous events")]
    /// More than [`MAX_PREV_EVENTS`](super::MAX_PREV_EVENTS).
    TooManyPrevEvents,
    #[error("the event names more than 10 auth events")]
    /// More than [`MAX_AUTH_EVENTS`](super::MAX_AUTH_EVENTS).
    TooManyAuthEvents,
    #[error("the event is not canonical JSON: {0}")]
    /// Numbers that the room version does not allow, or no JSON at all.
    NotCanonical(JsonErrorKind),
}

/// The event that `object` holds, called `id`.
pub(super) fn read(
    version: &RoomVersion,
    id: OwnedEventId,
    object: Object,
) -> Result<Event, FormatError> {
    let text = |name: &'static str| {
        object
            .get(name)
            .and_then(Value::as_str)
            .ok_or(FormatError::Field(name))
    };
    let integer = |name: &'static str| {
        object
            .get(name)
            .and_then(Value::as_i64)
            .ok_or(FormatError::Field(name))
    };
    let event_type = text("type")?;
    let sender = UserId::parse(text("sender")?).map_err(|_| FormatError::Field("sender"))?;
    let state_key = match object.get("state_key") {
        None => None,
        Some(Value::String(key)) => Some(key.as_str().into()),
        Some(_) => return Err(FormatError::Field("state_key")),
    };
    let is_create = event_type == "m.room.create";
    let created = if is_create {
        room_id_of_create(version, &id)
    } else {
        None
    };
    let room_id = match created {
        Some(room_id) => room_id,
        None => RoomId::parse(text("room_id")?).map_err(|_| FormatError::Field("room_id"))?,
    };
    let depth = integer("depth")?;
    if !(0..=version.max_depth).contains(&depth) {
        return Err(FormatError::Field("depth"));
    }
    for name in ["content", "signatures"] {
        object
            .get(name)
            .and_then(Value::as_object)
            .ok_or(FormatError::Field(name))?;
    }
    let hash = object
        .get("hashes")
        .and_then(|hashes| hashes.get("sha256")?.as_str());
    hash.ok_or(FormatError::Field("hashes"))?;
    Ok(Event {
        id,
        room_id,
        sender,
        event_type: event_type.into(),
        state_key,
        prev_events: referenced(&object, "prev_events")?,
        auth_events: referenced(&object, "auth_events")?,
        depth,
        origin_server_ts: integer("origin_server_ts")?,
        redacts: redacts(version, &object),
        object,
    })
}

/// How many events the field names.
pub(super) fn references(object: &Object, name: &str) -> usize {
    object
        .get(name)
        .and_then(Value::as_array)
        .map_or(0, <[Value]>::len)
}

/// Whether an event names others as its version does.
pub(super) fn check_references(version: &RoomVersion, object: &Object) -> Result<(), FormatError> {
    let pairs = version.references == References::Pairs;
    for name in ["prev_events", "auth_events"] {
        let items = object.get(name).and_then(Value::as_array);
        let mut items = items.unwrap_or_default().iter();
        if items.any(|item| item.as_array().is_some() != pairs) {
            return Err(FormatError::Field(name));
        }
    }
    Ok(())
}

/// The events that a field names, by ID alone or with a hash.
fn referenced(object: &Object, name: &'static str) -> Result<Vec<OwnedEventId>, FormatError> {
    let items = object
        .get(name)
        .and_then(Value::as_array)
        .ok_or(FormatError::Field(name))?;
    let id = |item: &Value| {
        let text = match item {
            Value::Array(pair) => match pair.as_slice() {
                [id, Value::Object(_)] => id.as_str(),
                _ => None,
            },
            id => id.as_str(),
        };
        text.and_then(id::parse)
    };
    items
        .iter()
        .map(|item| id(item).ok_or(FormatError::Field(name)))
        .collect()
}

/// A target that is no event ID is none: the redaction is an event like any other, and redacts nothing.
pub(super) fn redacts(version: &RoomVersion, object: &Object) -> Option<OwnedEventId> {
    if object.get("type").and_then(Value::as_str) != Some("m.room.redaction") {
        return None;
    }
    let target = match version.redacts {
        Redacts::TopLevel => object.get("redacts"),
        Redacts::Content => object
            .get("content")
            .and_then(|content| content.get("redacts")),
    };
    target.and_then(Value::as_str).and_then(id::parse)
}
