//! An event, parsed once and then shared.
//!
//! An [`Event`] has passed the format of its room version: all accessors are plain reads. It holds the whole
//! object as federation exchanges it, so that nothing unknown to us is lost. Whether its signatures and
//! hashes are right is the business of [`crate::sign`], whether it is allowed that of [`crate::auth`].
//!
//! Source: each room version's "Event format"; client-server API, "Size limits".

mod client;
mod draft;
mod format;
mod id;
mod size;

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};

pub use self::{
    client::{client_json, stripped},
    draft::{Draft, Parent, SealError},
    format::FormatError,
    size::{MAX_AUTH_EVENTS, MAX_BYTES, MAX_EVENT_DEPTH, MAX_FIELD, MAX_PREV_EVENTS},
};
use crate::{
    hash,
    json::{self, Object, Strictness, Value},
    redact,
    room_version::{RoomIds, RoomVersion},
    sign::{POLICY_KEY_ID, ServerKey},
};

/// An event of a room, immutable. Share it in an `Arc`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    event_type: Box<str>,
    state_key: Option<Box<str>>,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    depth: i64,
    origin_server_ts: i64,
    redacts: Option<OwnedEventId>,
    object: Object,
}

impl Event {
    /// Reads an event that came from outside, checking format and limits, and computes its ID.
    ///
    /// `unsigned` is dropped: nothing signs it, so nothing in it is trusted.
    ///
    /// # Errors
    /// The event breaks the format of its room version, or a limit. Such an event is to be dropped.
    pub fn parse(version: &RoomVersion, object: Object) -> Result<Self, FormatError> {
        if format::references(&object, "prev_events") > MAX_PREV_EVENTS {
            return Err(FormatError::TooManyPrevEvents);
        }
        if format::references(&object, "auth_events") > MAX_AUTH_EVENTS {
            return Err(FormatError::TooManyAuthEvents);
        }
        Self::parse_history(version, object)
    }

    /// As [`Event::parse`], without the limits on the number of `prev_events` and `auth_events`: history
    /// may hold events from before these limits.
    ///
    /// # Errors
    /// As for [`Event::parse`].
    pub fn parse_history(version: &RoomVersion, mut object: Object) -> Result<Self, FormatError> {
        object.remove("unsigned");
        size::check_depth(&object)?;
        if version.json == Strictness::Strict {
            json::check_canonical(&object).map_err(FormatError::NotCanonical)?;
        }
        size::check_bytes(&object)?;
        let id = id::of(version, &object)?;
        format::check_references(version, &object)?;
        let event = format::read(version, id, object)?;
        size::check_fields(version, &event)?;
        Ok(event)
    }

    /// Reads an event that this server has stored: limits are not checked, the ID is believed, and
    /// `unsigned` stays. Other events may be named as in any version: an invite came before the room, and
    /// with a wrong word on its version.
    ///
    /// # Errors
    /// The text is not an event of this version, so the store is damaged.
    pub fn from_stored(
        version: &RoomVersion,
        id: OwnedEventId,
        text: &str,
    ) -> Result<Self, FormatError> {
        let object = json::parse_object(text.as_bytes(), Strictness::Lenient)
            .map_err(|error| FormatError::NotCanonical(error.kind))?;
        format::read(version, id, object)
    }

    /// The ID of the event that `object` holds, also where it is over a limit or lacks what an event must have.
    ///
    /// `None`: it has none.
    pub fn id_of(version: &RoomVersion, object: &Object) -> Option<OwnedEventId> {
        size::check_depth(object).ok()?;
        if version.json == Strictness::Strict {
            json::check_canonical(object).ok()?;
        }
        id::of(version, object).ok()
    }

    /// The event's ID: chosen by its server in room versions 1 and 2, its reference hash elsewhere.
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// The ID alone.
    pub fn into_id(self) -> OwnedEventId {
        self.id
    }

    /// The room, also where the event itself does not say it (the create event from room version 12 on).
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// The `type`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The state key; `None` for message events.
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// Whether it has a state key.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Whether this is the state event of this type and state key.
    pub fn is(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type() == event_type && self.state_key() == Some(state_key)
    }

    /// The content, never absent.
    pub fn content(&self) -> &Object {
        let content = self.object.get("content").and_then(Value::as_object);
        content.expect("an event has passed its format")
    }

    /// The events that it comes after, in the order in which it names them.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.prev_events
    }

    /// The events that it names as its permission, in their order.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.auth_events
    }

    /// One more than its deepest parent's, as its sender claims.
    pub fn depth(&self) -> i64 {
        self.depth
    }

    /// When the event was made, in milliseconds since 1970, as its sender claims.
    pub fn origin_server_ts(&self) -> i64 {
        self.origin_server_ts
    }

    /// The event that this redaction wants redacted; `None` for other types and for redactions that were
    /// themselves redacted before room version 11.
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// The event as federation exchanges it.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// What the sender's or our server added and nobody signed.
    pub fn unsigned(&self) -> Option<&Object> {
        self.object.get("unsigned").and_then(Value::as_object)
    }

    /// The canonical JSON of the event as federation exchanges it, with hashes and signatures.
    pub fn to_json(&self) -> String {
        json::encode_object(&self.object)
    }

    /// The hash that later events name this one by.
    pub fn reference_hash(&self, version: &RoomVersion) -> [u8; 32] {
        hash::reference_hash(version, &self.object)
    }

    /// What redaction leaves of the event; its ID stays the same.
    pub fn redacted(&self, version: &RoomVersion) -> Self {
        let object = redact::redact_object(version, &self.object);
        format::read(version, self.id.clone(), object)
            .expect("redaction leaves all that the format asks for")
    }

    /// The same event with this `unsigned` object, or with none.
    pub fn with_unsigned(&self, unsigned: Option<Object>) -> Self {
        let mut event = self.clone();
        match unsigned {
            Some(unsigned) => event.object.insert("unsigned".to_owned(), unsigned.into()),
            None => event.object.remove("unsigned"),
        };
        event
    }

    /// The same event with the signature of `key` beside those that it has, as invites and restricted joins need.
    pub fn countersigned(&self, version: &RoomVersion, key: &ServerKey) -> Self {
        let mut event = self.clone();
        let essential = redact::essential_json(version, &event.object);
        key.add_signature(&mut event.object, essential.as_bytes());
        event
    }

    /// The same event with another server's signatures added, as restricted joins need.
    ///
    /// Signatures that the event has already are kept.
    pub fn with_signatures(&self, signatures: &Object) -> Self {
        let mut event = self.clone();
        let Some(Value::Object(own)) = event.object.get_mut("signatures") else {
            return event;
        };
        for (server, added) in signatures {
            match (own.get_mut(server), added) {
                (Some(Value::Object(present)), Value::Object(added)) => {
                    for (key, signature) in added {
                        present
                            .entry(key.clone())
                            .or_insert_with(|| signature.clone());
                    }
                }
                (Some(_), _) => {}
                (None, added) => {
                    own.insert(server.clone(), added.clone());
                }
            }
        }
        event
    }
}

impl Event {
    /// The same event with this signature of its room's policy server, instead of another by the same key ID. Other
    /// signatures of that server stay: it may be the one that the event is from.
    pub fn with_policy_signature(&self, server: &ServerName, signature: &str) -> Self {
        let mut event = self.clone();
        crate::sign::set_signature(&mut event.object, server, POLICY_KEY_ID, signature);
        event
    }
}

/// The room ID that a create event gives its room.
fn room_id_of_create(version: &RoomVersion, id: &EventId) -> Option<OwnedRoomId> {
    match version.room_ids {
        RoomIds::Chosen => None,
        RoomIds::CreateEvent => RoomId::parse(format!("!{}", &id.as_str()[1..])).ok(),
    }
}
