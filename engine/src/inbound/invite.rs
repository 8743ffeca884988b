//! Invites of local users by other servers: server-server API, "Inviting to a room".

use ruma::{EventId, OwnedUserId, RoomId, ServerName, UserId};
use spec::{
    event::Event,
    json::{Object, Value},
    object,
    room_version::{RoomIds, RoomVersion},
};
use storage::{accounts, write::Outcome};

use super::Inbound;
use crate::{
    Error, Result, Subject,
    remote::{check, stripped_state},
};

/// How many events of the room an invite may carry.
const ROOM_STATE_MAX: usize = 100;

impl Inbound {
    /// Takes in an invite of a local user, and answers with it signed by this server too. `None` for the version: it came in
    /// the form that names none.
    ///
    /// # Errors
    /// [`Error::UnsupportedRoomVersion`]. [`Error::InvalidParam`], [`Error::BadJson`]: it is no invite of a local user by
    /// one of `origin`, signed by that server, or the room's state with it is not what the room's version asks for.
    /// [`Error::MissingParam`]: there is no such state. [`Error::Forbidden`]: the room is not for this server, does
    /// not let the invite in, or a policy list shuts it or the inviter out. [`Error::InviteBlocked`]: the user does not want it. [`Error::NotFound`]: there is no such user.
    pub async fn invite(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
        room_version: Option<&str>,
        invite: Object,
        room_state: Vec<Object>,
    ) -> Result<Object> {
        let context = &self.rooms.context;
        let version = match room_version {
            Some(version) => RoomVersion::get(version)
                .ok_or_else(|| Error::UnsupportedRoomVersion(version.to_owned()))?,
            None => self.unnamed_version(room).await?,
        };
        let event = Event::parse(version, invite.clone())
            .map_err(|error| Error::BadJson(format!("This is no event of the room: {error}")))?;
        let user = self.invited(origin, room, event_id, &event)?;
        let event = match check(context, version, vec![invite]).await.pop() {
            Some(Ok(event)) => event,
            Some(Err(flaw)) => return Err(Error::InvalidParam(flaw)),
            None => return Err(Error::Internal("an invite was not checked".to_owned())),
        };
        let account = accounts::find(context.store.reader(), &user).await?;
        if account.is_none_or(|account| account.deactivated) {
            return Err(Error::NotFound(Subject::User));
        }
        context.check_invite(event.sender(), &user).await?;
        context.check_listed_user(event.sender()).await?;
        context.check_listed_room(room).await?;
        self.check_room_state(room, version, &room_state).await?;
        let signed = event.countersigned(version, &context.key);
        let handle = self
            .rooms
            .known_or_new(room, version, event.sender().to_owned())
            .await?;
        let handle = if handle.meta.version == version {
            handle
        } else {
            let _turn = context.handshakes.turn(room).await;
            let handle = self.rooms.in_version(handle, version).await?;
            handle.ok_or_else(|| {
                Error::InvalidParam(format!(
                    "The room has another version than {}",
                    version.id()
                ))
            })?
        };
        if handle.is_resident().await? {
            handle.check_acl(origin).await?;
            // This server is in the room: the invite takes its place there like any event.
            if handle.take(origin, signed.clone()).await? != Outcome::Accepted {
                return Err(Error::Forbidden(
                    "The rules of the room refuse the invite".to_owned(),
                ));
            }
        } else {
            // The user hears of it, with what the other server says of the room.
            let unsigned = object! { "invite_room_state" => stripped_state(&room_state) };
            let kept = signed.with_unsigned(Some(unsigned));
            handle.keep_aside(kept).await?;
        }
        Ok(signed.with_unsigned(None).object().clone())
    }

    /// The version of a room whose invite comes without one, which is one of those that were there before it was told: that
    /// of the room, where it is known, or "1".
    async fn unnamed_version(&self, room: &RoomId) -> Result<&'static RoomVersion> {
        let first =
            RoomVersion::get("1").ok_or_else(|| Error::UnsupportedRoomVersion("1".to_owned()))?;
        match self.rooms.by_id(room).await {
            Ok(known) if known.meta.version.event_ids == first.event_ids => Ok(known.meta.version),
            Ok(_) | Err(Error::NotFound(_)) => Ok(first),
            Err(error) => Err(error),
        }
    }

    /// Whom an event invites, if it is an invite as it should be.
    fn invited(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
        event: &Event,
    ) -> Result<OwnedUserId> {
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

    /// Whether the state that comes with an invite is that of its room. Where the room's id is made of its create event
    /// all of it must be events, signed; elsewhere older servers send less, and what is no event is shown as what it is
    /// not: nobody's word but the inviting server's.
    async fn check_room_state(
        &self,
        room: &RoomId,
        version: &'static RoomVersion,
        room_state: &[Object],
    ) -> Result<()> {
        if room_state.len() > ROOM_STATE_MAX {
            return Err(Error::InvalidParam(format!(
                "An invite carries at most {ROOM_STATE_MAX} events of its room"
            )));
        }
        let is_create = |event: &&Object| {
            event.get("type").and_then(Value::as_str) == Some("m.room.create")
                && event.get("state_key").and_then(Value::as_str) == Some("")
        };
        let create = room_state.iter().find(is_create);
        let federates =
            create.and_then(|create| create.get("content")?.as_object()?.get("m.federate"));
        if federates.and_then(Value::as_bool) == Some(false) {
            return Err(Error::Forbidden(
                "This room is for users of another server only".to_owned(),
            ));
        }
        if version.room_ids != RoomIds::CreateEvent {
            return Ok(());
        }
        if room_state.is_empty() {
            return Err(Error::MissingParam(
                "invite_room_state is missing".to_owned(),
            ));
        }
        let invalid = |why: &str| Err(Error::InvalidParam(format!("invite_room_state: {why}")));
        let mut has_create = false;
        for checked in check(&self.rooms.context, version, room_state.to_vec()).await {
            match checked {
                Ok(event) if event.room_id() != room => {
                    return invalid("an event is of another room");
                }
                Ok(event) if !event.is_state() => return invalid("an event is no state event"),
                Ok(event) => has_create |= event.is("m.room.create", ""),
                Err(flaw) => return invalid(&flaw),
            }
        }
        if has_create {
            Ok(())
        } else {
            invalid("there is no m.room.create event")
        }
    }
}
