//! An event on its way to others.

use std::sync::Arc;

use ruma::{OwnedServerName, ServerName, UserId};
use spec::json::{Object, Strictness, Value, encode_object, parse_object};
use storage::{Position, RoomRow, SnapshotRow, events::StoredEvent, write::NewEvent};

/// An event as it travels. All queues share it.
#[derive(Debug, PartialEq)]
pub(super) struct Pdu {
    pub(super) object: Object,
    /// Its length as JSON, in bytes.
    pub(super) bytes: usize,
}

impl Pdu {
    /// The event without what is only ours.
    pub(super) fn new(mut object: Object) -> Arc<Self> {
        object.remove("unsigned");
        let bytes = encode_object(&object).len();
        Arc::new(Self { object, bytes })
    }

    /// The stored event; `None` if it cannot be read.
    pub(super) fn stored(event: &StoredEvent) -> Option<Arc<Self>> {
        let object = parse_object(event.json.as_bytes(), Strictness::Lenient).ok()?;
        Some(Self::new(object))
    }

    /// The server of the sender, which has the event, if it has signed it. An invite by third party may be made by
    /// another server on behalf of the inviter: then that one has to be told like any other.
    pub(super) fn origin(&self) -> Option<OwnedServerName> {
        let server = server_of(self.object.get("sender")?.as_str()?)?;
        let signatures = self.object.get("signatures")?;
        signatures.get(server.as_str()).map(|_| server)
    }
}

/// An event that this server brings to others, and what decides to whom.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) position: Position,
    pub(super) room: RoomRow,
    /// The state of the room with the event.
    pub(super) current: Option<SnapshotRow>,
    /// Who has the event: see [`Pdu::origin`].
    pub(super) origin: Option<OwnedServerName>,
    /// The server of the user whom the event takes out of the room: it is told, though it may be in it no more.
    pub(super) removed: Option<OwnedServerName>,
    pub(super) pdu: Arc<Pdu>,
}

impl Outgoing {
    /// A stored event; `None` if it is not outgoing or cannot be read.
    pub(super) fn stored(event: &StoredEvent) -> Option<Self> {
        let pdu = Pdu::stored(event)?;
        Some(Self {
            position: event.outgoing?,
            room: event.room,
            current: event.current,
            origin: pdu.origin(),
            removed: removed_from(&pdu.object),
            pdu,
        })
    }

    /// One that was just committed.
    pub(super) fn committed(position: Position, new: &NewEvent) -> Self {
        let pdu = Pdu::new(new.event.with_unsigned(None).object().clone());
        Self {
            position,
            room: new.room,
            current: new.current,
            origin: pdu.origin(),
            removed: removed_from(&pdu.object),
            pdu,
        }
    }
}

/// The server of the user whom a member event takes out of the room.
pub(super) fn removed_from(event: &Object) -> Option<OwnedServerName> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    if text(event.get("type"))? != "m.room.member" {
        return None;
    }
    let membership = text(event.get("content")?.get("membership"))?;
    if !matches!(membership.as_str(), "leave" | "ban") {
        return None;
    }
    server_of(&text(event.get("state_key"))?)
}

/// The server of a user.
pub(super) fn server_of(user: &str) -> Option<OwnedServerName> {
    let user = <&UserId>::try_from(user).ok()?;
    Some(ServerName::to_owned(user.server_name()))
}
