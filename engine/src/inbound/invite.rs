//! Invites of local users by other servers: server-server API, "Inviting to a room".

use std::sync::Arc;

use ruma::{EventId, RoomId, ServerName, UserId};
use spec::{
    event::Event,
    json::{Object, Value},
    room_version::RoomVersion,
};
use storage::{
    Logged, Write,
    write::{NewEvent, NewMembership, Outcome, Place},
};

use super::Inbound;
use crate::{Error, Result, remote::check, rooms::RoomHandle};

/// How many events of the room an invite may carry.
const ROOM_STATE_MAX: usize = 100;

impl Inbound {
    /// Takes in an invite of a local user, and answers with it signed by this server too.
    ///
    /// # Errors
    /// [`Error::UnsupportedRoomVersion`]. [`Error::InvalidParam`]: it is no invite of a local user by one of `origin`.
    /// [`Error::Forbidden`]: its signatures are wrong. [`Error::NotFound`]: there is no such user.
    pub async fn invite(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
        room_version: &str,
        invite: Object,
        room_state: Vec<Object>,
    ) -> Result<Object> {
        let context = &self.rooms.context;
        let version = RoomVersion::get(room_version)
            .ok_or_else(|| Error::UnsupportedRoomVersion(room_version.to_owned()))?;
        let event = match check(context, version, vec![invite]).await.pop() {
            Some(Ok(event)) => event,
            Some(Err(flaw)) => return Err(Error::Forbidden(flaw)),
            None => return Err(Error::BadJson("There is no event".to_owned())),
        };
        let user = self.invited(origin, room, event_id, &event)?;
        if storage::accounts::find(context.store.reader(), &user)
            .await?
            .is_none()
        {
            return Err(Error::NotFound(crate::Subject::User));
        }
        let signed = event.countersigned(version, &context.key);
        let handle = self
            .rooms
            .known_or_new(room, version, event.sender().to_owned())
            .await?;
        if self.resident_room(origin, room).await.is_ok() {
            // This server is in the room: the invite takes its place there like any event.
            handle.take(origin, signed.clone()).await?;
        } else {
            keep_aside(&handle, &signed, &user, room_state).await?;
        }
        Ok(signed.with_unsigned(None).object().clone())
    }

    /// Whom an event invites, if it is an invite as it should be.
    fn invited(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
        event: &Event,
    ) -> Result<ruma::OwnedUserId> {
        let invalid = |why: &str| Error::InvalidParam(format!("This is no invite: {why}"));
        let is_invite = event.event_type() == "m.room.member"
            && event.content().get("membership").and_then(Value::as_str) == Some("invite");
        if !is_invite || event.id() != event_id || event.room_id() != room {
            return Err(invalid("it is another event than the path says"));
        }
        if event.sender().server_name() != origin {
            return Err(invalid("its sender is of another server"));
        }
        let user = event.state_key().and_then(|user| UserId::parse(user).ok());
        user.filter(|user| user.server_name() == self.rooms.context.server_name)
            .ok_or_else(|| invalid("the invited user is of another server"))
    }
}

/// Keeps an invite to a room that this server is not in: the user hears of it, with what the other server says of the
/// room.
async fn keep_aside(
    room: &RoomHandle,
    invite: &Event,
    user: &UserId,
    mut room_state: Vec<Object>,
) -> Result<()> {
    room_state.truncate(ROOM_STATE_MAX);
    let stripped = room_state
        .iter()
        .map(|event| Value::Object(strip(event)))
        .collect();
    let unsigned = spec::object! { "invite_room_state" => Value::Array(stripped) };
    let invite = Arc::new(invite.with_unsigned(Some(unsigned)));
    let key = user.as_str();
    let resolved = room
        .context
        .store
        .state_keys()
        .resolve(&[("m.room.member", key)])
        .await?;
    let text = |key: &str| {
        invite
            .content()
            .get(key)
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    let membership = NewMembership {
        user_id: user.to_owned(),
        membership: storage::members::Membership::Invite,
        sender: invite.sender().to_owned(),
        displayname: text("displayname"),
        avatar_url: text("avatar_url"),
    };
    let logged = Logged::Event(NewEvent {
        row: room.context.store.ids().next_event(),
        room: room.meta.row,
        event: invite.clone(),
        outcome: Outcome::Outlier,
        state_key: Some(resolved.rows[0]),
        snapshot: None,
        current: None,
        replaces: None,
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
        // The same invite again.
        Err(storage::Error::Conflict(_)) => Ok(()),
        written => Ok(written.map(drop)?),
    }
}

/// What a client may know of an event of a room that it is not in, sent whole or stripped.
fn strip(event: &Object) -> Object {
    ["content", "sender", "state_key", "type"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), event.get(key)?.clone())))
        .collect()
}
