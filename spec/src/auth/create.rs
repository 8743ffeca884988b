//! The create event: the rules for it, and what it decides for the room.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::Denied;
use crate::{
    event::Event,
    json::Value,
    room_version::{Creator, RoomIds, RoomVersion},
};

/// What later rules read of a create event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    creator: Option<String>,
    privileged: BTreeSet<String>,
    federates: bool,
}

impl Create {
    /// Reads a create event that was accepted.
    pub fn parse(version: &RoomVersion, event: &Event) -> Self {
        let content = event.content();
        let creator = match version.auth.creator {
            Creator::Sender => Some(event.sender().to_string()),
            Creator::Content => content
                .get("creator")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned),
        };
        let mut privileged = BTreeSet::new();
        if version.auth.privileged_creators {
            privileged.insert(event.sender().to_string());
            let additional = content.get("additional_creators").and_then(Value::as_array);
            let additional = additional
                .unwrap_or_default()
                .iter()
                .filter_map(Value::as_str);
            privileged.extend(additional.map(ToOwned::to_owned));
        }
        Self {
            id: event.id().to_owned(),
            room_id: event.room_id().to_owned(),
            sender: event.sender().to_owned(),
            creator,
            privileged,
            federates: content.get("m.federate") != Some(&Value::Bool(false)),
        }
    }

    /// The create event's ID.
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// The room that it created.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Its sender; in room versions 11 and later, the creator.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// Who made the room, as its version says; `None` if an old create event names nobody.
    pub fn creator(&self) -> Option<&str> {
        self.creator.as_deref()
    }

    /// The creators with infinite power; empty before room version 12.
    pub fn privileged(&self) -> &BTreeSet<String> {
        &self.privileged
    }

    /// Whether users of other servers may take part.
    pub fn federates(&self) -> bool {
        self.federates
    }
}

/// Rule 1.
pub(super) fn check(version: &RoomVersion, event: &Event) -> Result<(), Denied> {
    let content = event.content();
    if !event.prev_events().is_empty() {
        return Err(Denied::CreateHasParents);
    }
    match version.room_ids {
        RoomIds::CreateEvent => {
            if event.object().contains_key("room_id") {
                return Err(Denied::CreateHasRoomId);
            }
        }
        RoomIds::Chosen => {
            if event.room_id().server_name() != Some(event.sender().server_name()) {
                return Err(Denied::CreateOfAnotherServer);
            }
        }
    }
    if let Some(named) = content.get("room_version")
        && named.as_str().and_then(RoomVersion::get).is_none()
    {
        return Err(Denied::CreateVersionUnknown);
    }
    if version.auth.creator == Creator::Content && !content.contains_key("creator") {
        return Err(Denied::CreateWithoutCreator);
    }
    if version.auth.privileged_creators
        && let Some(additional) = content.get("additional_creators")
    {
        let is_user = |user: &Value| {
            user.as_str()
                .is_some_and(|user| UserId::parse(user).is_ok())
        };
        if !additional
            .as_array()
            .is_some_and(|users| users.iter().all(is_user))
        {
            return Err(Denied::CreatorsMalformed);
        }
    }
    Ok(())
}
