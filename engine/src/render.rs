//! Events in the format that clients read: client-server API, "Room event format" and "Stripped state".

use ruma::{EventId, RoomId, UserId, serde::Raw};
use serde::Serialize;
use serde_json::value::RawValue;
use spec::{
    event::Event,
    json::{Object, Value},
};

use crate::relations::bundle::Bundle;

/// The form of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// With `room_id`: everywhere but in sync.
    Whole,
    /// Without `room_id`: in the sections of a sync response, where the room is the key.
    InSync,
    /// As servers exchange it, with its ID: for filters with the `event_format` "federation".
    Federation,
}

/// What the server adds to an event for one reader.
#[derive(Default, Serialize)]
pub(crate) struct Unsigned<'a> {
    /// Milliseconds since the event was sent, by the clocks of both servers.
    pub(crate) age: i64,
    /// The reader's membership at the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) membership: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prev_content: Option<&'a Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prev_sender: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redacted_because: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaces_state: Option<&'a EventId>,
    /// What is aggregated of its children.
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    pub(crate) relations: Option<&'a Bundle>,
    /// Only for the device that sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transaction_id: Option<&'a str>,
    /// Only on the reader's own membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) invite_room_state: Option<&'a Value>,
    /// Only on the reader's own membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) knock_room_state: Option<&'a Value>,
}

#[derive(Serialize)]
struct ClientEvent<'a> {
    content: &'a Object,
    event_id: &'a EventId,
    origin_server_ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a RoomId>,
    sender: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    event_type: &'a str,
    unsigned: &'a Unsigned<'a>,
}

#[derive(Serialize)]
struct FederationEvent<'a> {
    #[serde(flatten)]
    object: &'a Object,
    unsigned: &'a Unsigned<'a>,
}

#[derive(Serialize)]
struct StrippedEvent<'a> {
    content: &'a Object,
    sender: &'a UserId,
    state_key: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    /// Of the create event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_server_ts: Option<i64>,
}

/// `event` for a client. `redacts` of a redaction stands both in the content and beside it, whatever the room version.
pub(crate) fn client_event<T>(event: &Event, shape: Shape, unsigned: &Unsigned<'_>) -> Raw<T> {
    if shape == Shape::Federation {
        return federation_event(event, unsigned);
    }
    let redacts = event.redacts();
    let with_redacts;
    let content = match redacts {
        Some(target) if !event.content().contains_key("redacts") => {
            let mut content = event.content().clone();
            content.insert("redacts".to_owned(), Value::from(target.as_str()));
            with_redacts = content;
            &with_redacts
        }
        _ => event.content(),
    };
    let room_id = (shape == Shape::Whole).then(|| event.room_id());
    to_raw(&ClientEvent {
        content,
        event_id: event.id(),
        origin_server_ts: event.origin_server_ts(),
        redacts,
        room_id,
        sender: event.sender(),
        state_key: event.state_key(),
        event_type: event.event_type(),
        unsigned,
    })
}

/// `event` as servers exchange it, but for what the server says of it to this reader.
fn federation_event<T>(event: &Event, unsigned: &Unsigned<'_>) -> Raw<T> {
    let mut object = event.object().clone();
    object.remove("unsigned");
    object.insert("event_id".to_owned(), Value::from(event.id().as_str()));
    to_raw(&FederationEvent {
        object: &object,
        unsigned,
    })
}

/// A state event reduced to what someone outside the room may know. `None` for an event that is not state.
pub(crate) fn stripped<T>(event: &Event) -> Option<Raw<T>> {
    Some(to_raw(&StrippedEvent {
        content: event.content(),
        sender: event.sender(),
        state_key: event.state_key()?,
        event_type: event.event_type(),
        origin_server_ts: event
            .is("m.room.create", "")
            .then(|| event.origin_server_ts()),
    }))
}

fn to_raw<T>(value: &impl Serialize) -> Raw<T> {
    let json = serde_json::value::to_raw_value(value)
        .expect("maps with string keys and no failing parts always serialise");
    Raw::from_json(json)
}
