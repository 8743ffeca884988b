//! A room that the user is invited to or knocks at: `rooms.invite` and `rooms.knock`.

use ruma::{
    api::client::sync::sync_events::v3::{InviteState, InvitedRoom, KnockState, KnockedRoom},
    events::AnyStrippedStateEvent,
    serde::Raw,
};
use spec::{event::Event, json::Value};
use storage::EventRow;

use super::{Build, changes::OwnMembership};
use crate::{Result, render, rooms::RoomHandle};

/// What somebody outside may know of a room: client-server API, "Stripped state".
pub(crate) const PREVIEW: [&str; 8] = [
    "m.room.create",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.avatar",
    "m.room.name",
    "m.room.topic",
    "m.room.encryption",
    "m.room.history_visibility",
];

impl Build<'_> {
    pub(super) async fn invited_room(
        &self,
        room: &RoomHandle,
        member: &OwnMembership,
    ) -> Result<InvitedRoom> {
        let mut state = InviteState::new();
        state.events = self.preview(room, member).await?;
        Ok(InvitedRoom::from(state))
    }

    pub(super) async fn knocked_room(
        &self,
        room: &RoomHandle,
        member: &OwnMembership,
    ) -> Result<KnockedRoom> {
        let mut state = KnockState::new();
        state.events = self.preview(room, member).await?;
        Ok(KnockedRoom::from(state))
    }

    /// Stripped state at the invite or knock: what its server sent along, else what this server knows of the room, and
    /// the member events of both sides.
    pub(super) async fn preview(
        &self,
        room: &RoomHandle,
        member: &OwnMembership,
    ) -> Result<Vec<Raw<AnyStrippedStateEvent>>> {
        let context = &room.context;
        let invite = context.events.get(&context.metas, member.event).await?;
        if let Some(received) = received(&invite.event) {
            let own = render::stripped(&invite.event);
            return Ok(received.into_iter().chain(own).collect());
        }
        let state = context.states.get(invite.snapshot).await?;
        let mut pairs: Vec<(&str, &str)> =
            PREVIEW.iter().map(|event_type| (*event_type, "")).collect();
        pairs.push(("m.room.member", member.sender.as_str()));
        let keys = context.store.state_keys().find(&pairs).await?;
        let mut rows: Vec<EventRow> = keys
            .into_iter()
            .flatten()
            .filter_map(|key| state.get(&key).copied())
            .collect();
        rows.push(member.event);
        let events = context.events.get_many(&context.metas, &rows).await?;
        Ok(events
            .iter()
            .filter_map(|known| render::stripped(&known.event))
            .collect())
    }
}

/// What the inviting server said of a room that this server is not in.
fn received(invite: &Event) -> Option<Vec<Raw<AnyStrippedStateEvent>>> {
    let events = received_state(invite)?.iter();
    Some(
        events
            .filter_map(|event| Raw::new(event).ok())
            .map(Raw::cast_unchecked)
            .collect(),
    )
}

/// The same as it was kept.
pub(super) fn received_state(invite: &Event) -> Option<&[Value]> {
    let unsigned = invite.unsigned()?;
    let list = unsigned
        .get("invite_room_state")
        .or_else(|| unsigned.get("knock_room_state"))?;
    list.as_array()
}
