//! Joins, leaves and knocks of users of other servers: server-server API, "Joining rooms", "Leaving rooms", "Knocking".

use std::sync::Arc;

use ruma::{EventId, OwnedServerName, RoomId, ServerName, UserId};
use spec::{
    event::{Draft, Event},
    json::{Object, Value},
};
use storage::write::Outcome;

use super::{Inbound, objects};
use crate::{Error, Result, peers::Template, remote::check, rooms::RoomHandle, states::StateMap};

/// The room, as it is given to a server that sent a membership event.
#[derive(Clone, Debug, Default)]
pub struct SentMembership {
    /// The event, as it was taken in.
    pub event: Object,
    /// For a join: the state before it.
    pub state: Vec<Object>,
    /// For a join: all that permits the events of the state.
    pub auth_chain: Vec<Object>,
    /// For a join: the servers in the room.
    pub servers: Vec<OwnedServerName>,
}

impl Inbound {
    /// A draft of a user's `membership` (`join`, `leave` or `knock`), for their server to sign.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server is not in the room. [`Error::Forbidden`], [`Error::Denied`]: they may not.
    /// [`Error::UnsupportedRoomVersion`]: `versions`, those that the other server knows, lack the room's.
    pub async fn make_membership(
        &self,
        origin: &ServerName,
        membership: &str,
        room: &RoomId,
        user: &UserId,
        versions: Option<&[String]>,
    ) -> Result<Template> {
        if user.server_name() != origin {
            return Err(Error::Forbidden(format!(
                "{user} is not a user of {origin}"
            )));
        }
        let room = self.resident_room(origin, room).await?;
        let version = room.meta.version;
        if versions.is_some_and(|known| !known.iter().any(|known| known == version.id())) {
            return Err(Error::UnsupportedRoomVersion(version.id().to_owned()));
        }
        let draft = room.remote_member_draft(user, membership);
        let event = room
            .run(move |room| Box::pin(async move { room.draft_template(draft).await }))
            .await?;
        Ok(Template {
            room_version: Some(version.id().to_owned()),
            event,
        })
    }

    /// Takes in a membership event that a server has signed.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: it is another event than `event_id` or of the wrong kind. [`Error::Forbidden`]: the rules
    /// refuse it. [`Error::NotFound`]: this server is not in the room.
    pub async fn send_membership(
        &self,
        origin: &ServerName,
        membership: &str,
        room: &RoomId,
        event_id: &EventId,
        pdu: Object,
    ) -> Result<SentMembership> {
        let room = self.resident_room(origin, room).await?;
        let checked = check(&room.context, room.meta.version, vec![pdu])
            .await
            .pop();
        let event = match checked {
            Some(Ok(event)) => event,
            Some(Err(flaw)) => return Err(Error::Forbidden(flaw)),
            None => return Err(Error::BadJson("There is no event".to_owned())),
        };
        check_kind(&event, origin, membership, &room, event_id)?;
        let object = objects([&event]).remove(0);
        let id = event_id.to_owned();
        room.run(move |room| {
            Box::pin(async move {
                room.relay(id);
                Ok(())
            })
        })
        .await?;
        match room.take(origin, event).await? {
            Outcome::Accepted => {}
            _ => {
                return Err(Error::Forbidden(
                    "The rules of the room refuse it".to_owned(),
                ));
            }
        }
        let sent = SentMembership {
            event: object,
            ..SentMembership::default()
        };
        if membership != "join" {
            return Ok(sent);
        }
        let placed = room.placed(event_id).await?;
        let placed = placed.ok_or_else(|| Error::Internal(format!("{event_id} was accepted")))?;
        let before = room.context.states.get(placed.snapshot).await?;
        let (state, auth_chain) = room.state_and_chain(&before).await?;
        Ok(SentMembership {
            state: objects(state.iter().map(AsRef::as_ref)),
            auth_chain: objects(auth_chain.iter().map(AsRef::as_ref)),
            servers: room.servers().await?,
            ..sent
        })
    }
}

fn check_kind(
    event: &Event,
    origin: &ServerName,
    membership: &str,
    room: &RoomHandle,
    event_id: &EventId,
) -> Result<()> {
    let invalid = |why: &str| {
        Err(Error::InvalidParam(format!(
            "This is no {membership} of a user of {origin}: {why}"
        )))
    };
    if event.id() != event_id {
        return invalid("the event has another id");
    }
    if event.room_id() != room.meta.id {
        return invalid("it is of another room");
    }
    if event.event_type() != "m.room.member" || event.state_key() != Some(event.sender().as_str()) {
        return invalid("it is not the sender's own member event");
    }
    if event.sender().server_name() != origin {
        return invalid("its sender is of another server");
    }
    if event.content().get("membership").and_then(Value::as_str) != Some(membership) {
        return invalid("its membership is another");
    }
    Ok(())
}

impl RoomHandle {
    fn remote_member_draft(&self, user: &UserId, membership: &str) -> Draft {
        Draft {
            room_id: Some(self.meta.id.clone()),
            sender: user.to_owned(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(user.to_string()),
            content: spec::object! { "membership" => membership },
            redacts: None,
        }
    }

    /// The events of a state, and all events that permit them, without those of the state itself.
    pub(crate) async fn state_and_chain(
        &self,
        state: &StateMap,
    ) -> Result<(Vec<Arc<Event>>, Vec<Arc<Event>>)> {
        let rows: Vec<_> = state.values().copied().collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        let state: Vec<Arc<Event>> = known.iter().map(|known| known.event.clone()).collect();
        let chain = self.auth_chain(&state).await?;
        Ok((state, chain))
    }
}
