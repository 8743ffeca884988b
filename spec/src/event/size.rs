//! The limits on events: bytes in all, lengths of fields, depth of nesting.

use super::{Event, FormatError};
use crate::{
    json::{self, Object},
    room_version::{FieldLimit, RoomVersion},
};

/// The largest event, as canonical JSON with its signatures.
pub const MAX_BYTES: usize = 65_536;

/// The longest `type` and `state_key`, and the longest ID in bytes.
pub const MAX_FIELD: usize = 255;

/// The most events that `prev_events` may name.
pub const MAX_PREV_EVENTS: usize = 20;

/// The most events that `auth_events` may name.
pub const MAX_AUTH_EVENTS: usize = 10;

/// How many arrays and objects may stand inside each other in an event.
///
/// The specification names no bound, but every implementation has one. Ours is low enough that an event
/// wrapped in any response stays readable for a parser with the common limit of 128.
pub const MAX_EVENT_DEPTH: usize = 100;

pub(super) fn check_depth(object: &Object) -> Result<(), FormatError> {
    if json::depth(object) > MAX_EVENT_DEPTH {
        Err(FormatError::TooDeep)
    } else {
        Ok(())
    }
}

pub(super) fn check_bytes(object: &Object) -> Result<(), FormatError> {
    let bytes = json::encode_object(object).len();
    if bytes > MAX_BYTES {
        Err(FormatError::TooLarge { bytes })
    } else {
        Ok(())
    }
}

pub(super) fn check_fields(version: &RoomVersion, event: &Event) -> Result<(), FormatError> {
    for (name, text) in [
        ("type", Some(event.event_type())),
        ("state_key", event.state_key()),
    ] {
        let length = text.map_or(0, |text| match version.field_limit {
            FieldLimit::Bytes => text.len(),
            FieldLimit::CodePoints => text.chars().count(),
        });
        if length > MAX_FIELD {
            return Err(FormatError::FieldTooLong(name));
        }
    }
    Ok(())
}

/// The limits for events that we make: bytes, whatever the room version tolerates.
pub(super) fn check_own_fields(
    event_type: &str,
    state_key: Option<&str>,
) -> Result<(), FormatError> {
    for (name, text) in [("type", Some(event_type)), ("state_key", state_key)] {
        if text.is_some_and(|text| text.len() > MAX_FIELD) {
            return Err(FormatError::FieldTooLong(name));
        }
    }
    Ok(())
}
