//! Event IDs: chosen by the sender, or the reference hash.

use ruma::{EventId, OwnedEventId};

use super::{FormatError, MAX_FIELD};
use crate::{
    hash,
    json::{Object, Value},
    room_version::{EventIds, RoomVersion},
};

/// The ID of the event that `object` holds.
pub(super) fn of(version: &RoomVersion, object: &Object) -> Result<OwnedEventId, FormatError> {
    match version.event_ids {
        EventIds::Chosen => {
            let id = object.get("event_id").and_then(Value::as_str);
            let id = id.and_then(parse).filter(|id| id.server_name().is_some());
            id.ok_or(FormatError::Field("event_id"))
        }
        EventIds::HashStandard | EventIds::HashUrlSafe => {
            Ok(from_hash(version, &hash::reference_hash(version, object)))
        }
    }
}

/// The ID that a reference hash gives in versions that use it.
pub(super) fn from_hash(version: &RoomVersion, hash: &[u8; 32]) -> OwnedEventId {
    let hash = match version.event_ids {
        EventIds::HashStandard => hash::base64(hash),
        EventIds::Chosen | EventIds::HashUrlSafe => hash::base64_url(hash),
    };
    EventId::parse(format!("${hash}")).expect("the sigil stands in front")
}

/// An event ID of any version.
pub(super) fn parse(text: &str) -> Option<OwnedEventId> {
    if text.len() > MAX_FIELD {
        None
    } else {
        EventId::parse(text).ok()
    }
}
