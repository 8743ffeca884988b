//! Joins, leaves and knocks of users of other servers: server-server API, "Joining rooms", "Leaving rooms", "Knocking".

use std::{collections::BTreeSet, sync::Arc};

use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId};
use spec::{
    event::{Draft, Event},
    json::{Object, Value},
};

use super::{Inbound, objects};
use crate::{
    Error, Result, events::Placed, peers::Template, remote::check, rooms::RoomHandle,
    states::StateMap,
};

/// How many members stand in for the name of a room without one.
const HEROES_MAX: usize = 5;

/// The room, as it is given to a server that sent a membership event.
#[derive(Clone, Debug, Default)]
pub struct SentMembership {
    /// The event, as it was taken in; with this server's signature where a user of it lets somebody in.
    pub event: Object,
    /// For a join: the state before it. For a knock: what somebody outside may know.
    pub state: Vec<Object>,
    /// For a join: all that permits it and the events of the state, but for those of the state.
    pub auth_chain: Vec<Object>,
    /// The servers that were in the room before.
    pub servers: Vec<OwnedServerName>,
    /// Whether `state` lacks the member events that the other server does not need at first.
    pub members_omitted: bool,
}

/// A membership event that another server has signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// `join`, `leave` or `knock`.
    pub membership: &'static str,
    /// The event's id, as the path has it.
    pub event_id: OwnedEventId,
    /// The event.
    pub pdu: Object,
    /// Whether the other server asks to leave out member events.
    pub omit_members: bool,
}

impl Inbound {
    /// A draft of a user's `membership` (`join`, `leave` or `knock`), for their server to sign.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server is not in the room. [`Error::Forbidden`], [`Error::Denied`]: they may not.
    /// [`Error::UnableToAuthoriseJoin`], [`Error::UnableToGrantJoin`]: another server may let them in.
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
        if membership != "leave" {
            self.rooms.context.check_listed_user(user).await?;
        }
        let room = self.resident_room(origin, room).await?;
        let version = room.meta.version;
        if versions.is_some_and(|known| !known.iter().any(|known| known == version.id())) {
            return Err(Error::UnsupportedRoomVersion(version.id().to_owned()));
        }
        let draft = room.remote_member_draft(user, membership);
        let joins = membership == "join";
        let event = room
            .run(move |room| {
                Box::pin(async move {
                    let draft = if joins {
                        room.check_federates()?;
                        room.authorised(draft).await?
                    } else {
                        draft
                    };
                    room.draft_template(draft).await
                })
            })
            .await?;
        Ok(Template {
            room_version: Some(version.id().to_owned()),
            event,
        })
    }

    /// Takes in a membership event that a server has signed.
    ///
    /// # Errors
    /// [`Error::BadJson`]: it is no event of the room's version. [`Error::InvalidParam`]: it is another event than
    /// `event_id` or of the wrong kind. [`Error::Forbidden`]: its signatures are wrong, or the rules refuse it.
    /// [`Error::NotFound`]: this server is not in the room. [`Error::Policy`], [`Error::Unreachable`]: its policy server
    /// refuses the event, or gives no usable answer. For a join also those of [`Inbound::make_membership`].
    pub async fn send_membership(
        &self,
        origin: &ServerName,
        room: &RoomId,
        signed: Signed,
    ) -> Result<SentMembership> {
        let room = self.resident_room(origin, room).await?;
        let omit_members = signed.omit_members;
        let membership = signed.membership;
        let event = room.sound_membership(origin, signed).await?;
        if membership != "leave" {
            self.rooms.context.check_listed_user(event.sender()).await?;
        }
        // The other server may not know that the room has a policy server, or whether it is in force.
        let event = room.recommended(event).await?;
        let object = objects([&event]).remove(0);
        let id = event.id().to_owned();
        let relayed = id.clone();
        room.run(move |room| {
            Box::pin(async move {
                room.relay(relayed);
                Ok(())
            })
        })
        .await?;
        // Those who were there before: the joining one knows of itself.
        let servers = room.servers().await?;
        room.take(origin, event).await?;
        // It may have been refused before: that counts, and not that it is known.
        let placed = room
            .placed(&id)
            .await?
            .ok_or_else(|| Error::Forbidden("The rules of the room refuse it".to_owned()))?;
        let sent = SentMembership {
            event: object,
            servers,
            ..SentMembership::default()
        };
        match membership {
            "join" => room.join_answer(sent, &placed, omit_members).await,
            "knock" => Ok(SentMembership {
                state: room.preview_events(None).await?,
                ..sent
            }),
            _ => Ok(sent),
        }
    }
}

impl RoomHandle {
    /// A membership event as another server may send it; a join has this server's signature too, where one of its users
    /// lets them in.
    async fn sound_membership(&self, origin: &ServerName, signed: Signed) -> Result<Event> {
        let version = self.meta.version;
        let event = Event::parse(version, signed.pdu)
            .map_err(|error| Error::BadJson(format!("This is no event of the room: {error}")))?;
        check_kind(&event, origin, signed.membership, self, &signed.event_id)?;
        let event = if signed.membership == "join" {
            let vouched = event.clone();
            let vouches = self
                .run(move |room| Box::pin(async move { room.vouches_for(&vouched).await }))
                .await?;
            if vouches {
                event.countersigned(version, &self.context.key)
            } else {
                event
            }
        } else {
            event
        };
        let checked = check(&self.context, version, vec![event.object().clone()]).await;
        match checked.into_iter().next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(flaw)) => Err(Error::Forbidden(flaw)),
            None => Err(Error::Internal("an event was not checked".to_owned())),
        }
    }

    /// What a server needs to begin with a room that it has joined.
    async fn join_answer(
        &self,
        sent: SentMembership,
        placed: &Placed,
        omit_members: bool,
    ) -> Result<SentMembership> {
        let before = self.context.states.get(placed.known.snapshot).await?;
        let mut state = self.events_of(&before).await?;
        if omit_members {
            let shown = self.shown_members(&state).await?;
            state.retain(|event| {
                event.event_type() != "m.room.member"
                    || event.state_key().is_some_and(|user| shown.contains(user))
            });
        }
        let mut permitted = state.clone();
        permitted.push(placed.known.event.clone());
        // What permits the join is part of the chain as well.
        let mut chain = self.auth_chain(&permitted).await?;
        if omit_members {
            let sent: BTreeSet<&EventId> = permitted.iter().map(|event| event.id()).collect();
            chain.retain(|event| !sent.contains(event.id()));
        }
        Ok(SentMembership {
            state: objects(state.iter().map(AsRef::as_ref)),
            auth_chain: objects(chain.iter().map(AsRef::as_ref)),
            members_omitted: omit_members,
            ..sent
        })
    }

    /// The members by whom a room without a name is called: client-server API, "Calculating the display name for a
    /// room". Nobody, if it has a name.
    async fn shown_members(&self, state: &[Arc<Event>]) -> Result<BTreeSet<String>> {
        let named = |event: &Arc<Event>| {
            let text = |key: &str| event.content().get(key).and_then(Value::as_str);
            (event.is("m.room.name", "") && text("name").is_some_and(|name| !name.is_empty()))
                || (event.is("m.room.canonical_alias", "") && text("alias").is_some())
        };
        if state.iter().any(named) {
            return Ok(BTreeSet::new());
        }
        let joined = |event: &&Arc<Event>| {
            let membership = event.content().get("membership").and_then(Value::as_str);
            event.event_type() == "m.room.member" && matches!(membership, Some("join" | "invite"))
        };
        let mut members: Vec<&Arc<Event>> = state.iter().filter(joined).collect();
        members.sort_by_key(|event| (event.depth(), event.id().to_owned()));
        let users = members.into_iter().filter_map(|event| event.state_key());
        Ok(users.take(HEROES_MAX).map(str::to_owned).collect())
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

    /// The events of a state, and all events that permit them: some are in both.
    pub(crate) async fn state_and_chain(
        &self,
        state: &StateMap,
    ) -> Result<(Vec<Arc<Event>>, Vec<Arc<Event>>)> {
        let state = self.events_of(state).await?;
        let chain = self.auth_chain(&state).await?;
        Ok((state, chain))
    }

    async fn events_of(&self, state: &StateMap) -> Result<Vec<Arc<Event>>> {
        let rows: Vec<_> = state.values().copied().collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        Ok(known.iter().map(|known| known.event.clone()).collect())
    }
}
