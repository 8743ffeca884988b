//! How a local event comes to be: drafted, hashed, signed, named.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};

use super::{
    Event, FormatError, MAX_AUTH_EVENTS, MAX_PREV_EVENTS, format, id, room_id_of_create, size,
};
use crate::{
    hash,
    json::{self, JsonErrorKind, Object, Value},
    redact,
    room_version::{EventIds, Redacts, References, RoomIds, RoomVersion},
    sign::ServerKey,
};

/// What somebody wants to say in a room, before it has its place there.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// `None` for the create event of a version whose rooms are named after it.
    pub room_id: Option<OwnedRoomId>,
    pub sender: OwnedUserId,
    pub event_type: String,
    /// `None` for a message event.
    pub state_key: Option<String>,
    pub content: Object,
    /// The target of an `m.room.redaction`; put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
}

/// What an event says about an event that it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    pub id: OwnedEventId,
    /// Written in room versions 1 and 2 only; see [`Event::reference_hash`]. Elsewhere anything will do.
    pub reference_hash: [u8; 32],
    pub depth: i64,
}

/// Why a draft cannot become an event. What a client asked for is at fault, not the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The whole event, or its type or state key, is too long: `M_TOO_LARGE`.
    #[error(transparent)]
    TooLarge(FormatError),
    /// The content holds what canonical JSON forbids: `M_BAD_JSON`.
    #[error("the content is not canonical JSON: {0}")]
    NotCanonical(JsonErrorKind),
    /// The draft is not an event of this room version: a programming error, or content nested too deeply.
    #[error(transparent)]
    Format(FormatError),
}

impl From<FormatError> for SealError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::TooLarge { .. } | FormatError::FieldTooLong(_) => Self::TooLarge(error),
            FormatError::NotCanonical(kind) => Self::NotCanonical(kind),
            other => Self::Format(other),
        }
    }
}

impl Parent {
    /// What later events say about `event`. Hashes only where the room version wants it.
    pub fn of(version: &RoomVersion, event: &Event) -> Self {
        let reference_hash = match version.references {
            References::Pairs => event.reference_hash(version),
            References::Ids => [0; 32],
        };
        Self {
            id: event.id().to_owned(),
            reference_hash,
            depth: event.depth(),
        }
    }
}

impl Draft {
    /// The finished event: placed after `prev`, allowed by `auth`, hashed, signed and named.
    ///
    /// Its depth is one more than its deepest parent's, up to what the version allows; 1 without parents.
    /// `id_seed` is the local part of event IDs of versions 1 and 2, unused elsewhere. Our own events
    /// follow the strict rules of JSON and field lengths in every version.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal(
        self,
        version: &RoomVersion,
        prev: &[Parent],
        auth: &[Parent],
        origin_server_ts: i64,
        id_seed: &str,
        key: &ServerKey,
    ) -> Result<Event, SealError> {
        size::check_own_fields(&self.event_type, self.state_key.as_deref())?;
        json::check_canonical(&self.content).map_err(SealError::NotCanonical)?;
        if prev.len() > MAX_PREV_EVENTS {
            return Err(FormatError::TooManyPrevEvents.into());
        }
        if auth.len() > MAX_AUTH_EVENTS {
            return Err(FormatError::TooManyAuthEvents.into());
        }
        let is_create = self.event_type == "m.room.create";
        let nameless = is_create && version.room_ids == RoomIds::CreateEvent;
        let deepest = prev.iter().map(|parent| parent.depth).max().unwrap_or(0);
        let depth = deepest.saturating_add(1).min(version.max_depth);

        let Self {
            room_id,
            sender,
            event_type,
            state_key,
            mut content,
            redacts,
        } = self;
        let mut object = Object::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        match &room_id {
            Some(room_id) if !nameless => drop(put("room_id", room_id.as_str().into())),
            None if !nameless => return Err(FormatError::Field("room_id").into()),
            _ => {}
        }
        if let Some(target) = &redacts {
            match version.redacts {
                Redacts::TopLevel => drop(put("redacts", target.as_str().into())),
                Redacts::Content => {
                    content.insert("redacts".to_owned(), target.as_str().into());
                }
            }
        }
        put("type", event_type.as_str().into());
        put("sender", sender.as_str().into());
        if let Some(state_key) = &state_key {
            put("state_key", state_key.as_str().into());
        }
        put("content", content.into());
        put("origin_server_ts", origin_server_ts.into());
        put("depth", depth.into());
        put("prev_events", references(version, prev));
        put("auth_events", references(version, auth));
        if version.event_ids == EventIds::Chosen {
            put("event_id", format!("${id_seed}:{}", key.server()).into());
        }
        size::check_depth(&object)?;

        hash::insert_content_hash(&mut object);
        // The same bytes are signed and, in the versions that name events by hash, name the event.
        let essential = redact::essential_json(version, &object);
        key.add_signature(&mut object, essential.as_bytes());
        size::check_bytes(&object)?;
        let id = match version.event_ids {
            EventIds::Chosen => id::of(version, &object)?,
            _ => id::from_hash(version, &hash::sha256(essential.as_bytes())),
        };
        let named = room_id_of_create(version, &id).filter(|_| is_create);
        let room_id = named.or(room_id).ok_or(FormatError::Field("room_id"))?;
        RoomId::parse(room_id.as_str()).map_err(|_| FormatError::Field("room_id"))?;
        Ok(Event {
            id,
            room_id,
            sender,
            event_type: event_type.into(),
            state_key: state_key.map(Into::into),
            prev_events: prev.iter().map(|parent| parent.id.clone()).collect(),
            auth_events: auth.iter().map(|parent| parent.id.clone()).collect(),
            depth,
            origin_server_ts,
            redacts: redacts.or_else(|| format::redacts(version, &object)),
            object,
        })
    }
}

fn references(version: &RoomVersion, parents: &[Parent]) -> Value {
    let reference = |parent: &Parent| match version.references {
        References::Ids => Value::from(parent.id.as_str()),
        References::Pairs => {
            let hash = hash::base64(&parent.reference_hash);
            let hashes = Object::from([("sha256".to_owned(), hash.into())]);
            Value::Array(vec![parent.id.as_str().into(), hashes.into()])
        }
    };
    Value::Array(parents.iter().map(reference).collect())
}
