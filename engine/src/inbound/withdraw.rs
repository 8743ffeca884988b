//! Invites that are withdrawn: a member event that comes for a room in which this server is not.

use std::sync::Arc;

use ruma::{OwnedEventId, RoomId, ServerName, UserId};
use spec::{
    event::Event,
    json::{Object, Value},
};
use storage::{
    Logged, Write,
    members::{self, Membership},
    write::{NewEvent, NewMembership, Outcome, Place},
};

use super::Inbound;
use crate::{Result, events::KnownEvent, remote::check, rooms::RoomHandle};

impl Inbound {
    /// Takes in what withdraws invites of local users to a room that this server is not in; all else is left out.
    /// Answers which events were taken.
    ///
    /// An invite is withdrawn by a leave or ban that names it among its auth events and comes from the server of whoever
    /// sent it. Nothing else can be believed: what others may do in the room is not known here. (Synapse asks for the
    /// same user.)
    pub(super) async fn withdraw_invites(
        &self,
        origin: &ServerName,
        room: &RoomId,
        pdus: Vec<Object>,
    ) -> Result<Vec<OwnedEventId>> {
        let room = self.rooms.by_id(room).await?;
        if room.is_resident().await? {
            return Ok(Vec::new());
        }
        let own = &room.context.server_name;
        let pdus: Vec<Object> = pdus
            .into_iter()
            .filter(|pdu| removed(pdu).is_some_and(|user| user.server_name() == own))
            .collect();
        let mut withdrawn = Vec::new();
        for event in check(&room.context, room.meta.version, pdus).await {
            let Ok(event) = event.inspect_err(|flaw| {
                tracing::info!(room = %room.meta.id, %origin, flaw, "an event is dropped");
            }) else {
                continue;
            };
            if event.room_id() == room.meta.id && withdraw(&room, &event).await? {
                withdrawn.push(event.id().to_owned());
            }
        }
        Ok(withdrawn)
    }
}

/// The user whom a member event takes out of a room.
fn removed(event: &Object) -> Option<&UserId> {
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let membership = event.get("content")?.get("membership")?.as_str()?;
    if text("type") != Some("m.room.member") || !matches!(membership, "leave" | "ban") {
        return None;
    }
    text("state_key")?.try_into().ok()
}

/// Takes back the invite that an event withdraws; whether there is one.
async fn withdraw(room: &RoomHandle, event: &Event) -> Result<bool> {
    let Some(user) = removed(event.object()) else {
        return Ok(false);
    };
    let db = room.context.store.reader();
    let member = members::one(db, room.meta.row, user).await?;
    let Some(member) = member.filter(|member| member.membership == Membership::Invite) else {
        return Ok(false);
    };
    let events = &room.context.events;
    let invite = events.get(&room.context.metas, member.event).await?;
    let of_inviter = event.sender().server_name() == invite.event.sender().server_name();
    let names_it = event.auth_events().iter().any(|id| id == invite.event.id());
    if !of_inviter || !names_it {
        return Ok(false);
    }
    note(room, event, user, &invite).await?;
    Ok(true)
}

/// Notes for the user's clients that the invite is gone.
async fn note(room: &RoomHandle, event: &Event, user: &UserId, invite: &KnownEvent) -> Result<()> {
    let keys = room.context.store.state_keys();
    let resolved = keys.resolve(&[("m.room.member", user.as_str())]).await?;
    let is_ban = event.content().get("membership").and_then(Value::as_str) == Some("ban");
    let membership = NewMembership {
        user_id: user.to_owned(),
        membership: if is_ban {
            Membership::Ban
        } else {
            Membership::Leave
        },
        sender: event.sender().to_owned(),
        displayname: None,
        avatar_url: None,
    };
    let logged = Logged::Event(NewEvent {
        row: room.context.store.ids().next_event(),
        room: room.meta.row,
        event: Arc::new(event.clone()),
        outcome: Outcome::Outlier,
        state_key: Some(resolved.rows[0]),
        snapshot: None,
        current: None,
        replaces: Some(invite.row),
        // It has a position, so that the user hears of it, and no place in the timeline.
        place: Place::New,
        txn: None,
        membership: Some(membership),
        promoted: false,
        outgoing: false,
    });
    let write = Write {
        plain: resolved.inserts,
        logged: vec![logged],
        ..Write::default()
    };
    match room.context.store.write(write).await {
        // The same event again.
        Err(storage::Error::Conflict(_)) => Ok(()),
        written => Ok(written.map(drop)?),
    }
}
