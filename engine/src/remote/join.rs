//! Joining a room through another server: server-server API, "Joining rooms".

use std::{collections::BTreeSet, sync::Arc};

use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId};
use spec::{
    event::{Draft, Event, Parent},
    json::{Object, Value},
    object,
    room_version::RoomVersion,
};
use storage::{Plain, Write, write::NewRoom};

use super::{by_dependency, check};
use crate::{
    Error, Requester, Result,
    context::Context,
    peers::{JoinedState, PeerError, Peers, Template},
    room::profile::member_fields,
    room_meta::RoomMeta,
    rooms::Rooms,
};

/// How many servers are asked for one join.
const SERVERS_MAX: usize = 10;

impl Rooms {
    /// Joins a room, by itself or through another server.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nobody knows the room. What the rules, or the last server asked, say.
    pub(crate) async fn join(
        &self,
        by: &Requester,
        room: &RoomId,
        mut via: Vec<OwnedServerName>,
        reason: Option<String>,
        extra: Object,
    ) -> Result<()> {
        let known = match self.by_id(room).await {
            Ok(known) => Some(known),
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        if let Some(known) = &known {
            if known.is_resident().await? {
                return known.join(by, reason, extra).await.map(drop);
            }
            via.extend(known.inviting_server(&by.user_id).await?);
        }
        let mut content = member_fields(&self.context, &by.user_id).await?;
        content.extend(extra);
        if let Some(reason) = reason {
            content.insert("reason".to_owned(), Value::from(reason));
        }
        match self.join_through(by, room, &via, content).await {
            // A room of this server that everybody has left: its own rules say why not.
            Err(Error::NotFound(_)) if known.is_some() => Err(Error::Forbidden(
                "Nobody is left in the room to let you in".to_owned(),
            )),
            joined => joined,
        }
    }

    /// Joins a room through one of the servers `via`, in their order; returns when the room is usable here.
    ///
    /// # Errors
    /// The refusal of the last server that gave a reason, or [`Error::NotFound`] if none could be reached.
    pub(crate) async fn join_through(
        &self,
        by: &Requester,
        room: &RoomId,
        via: &[OwnedServerName],
        content: Object,
    ) -> Result<()> {
        let peers = self.context.peers.get().cloned();
        let peers = peers.ok_or(Error::NotFound(crate::Subject::Room))?;
        let mut refusal = None;
        let others = via
            .iter()
            .filter(|server| **server != self.context.server_name);
        for server in others.take(SERVERS_MAX) {
            match self
                .join_at(peers.as_ref(), by, room, server, &content)
                .await
            {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::info!(%room, %server, error = &error as &dyn std::error::Error, "cannot join there");
                    refusal = Some(error);
                }
            }
        }
        Err(refusal.unwrap_or(Error::NotFound(crate::Subject::Room)))
    }

    async fn join_at(
        &self,
        peers: &dyn Peers,
        by: &Requester,
        room: &RoomId,
        server: &ServerName,
        content: &Object,
    ) -> Result<()> {
        let template = peers
            .make_membership(server, "join", room, &by.user_id)
            .await
            .map_err(refused)?;
        let (version, join) = fill(&self.context, by, room, "join", template, content)?;
        let sent = peers
            .send_join(server, room, join.id(), join.object())
            .await
            .map_err(refused)?;
        self.enter(server, room, version, join, sent).await
    }

    /// Takes over the room as the other server gave it.
    async fn enter(
        &self,
        server: &ServerName,
        room: &RoomId,
        version: &'static RoomVersion,
        join: Event,
        sent: JoinedState,
    ) -> Result<()> {
        let nonsense = |why: &str| Error::Refused(format!("{server} gave no usable room: {why}"));
        let checked = |objects| async move {
            check(&self.context, version, objects)
                .await
                .into_iter()
                .flatten()
                .filter(|event: &Event| event.room_id() == room)
                .collect::<Vec<_>>()
        };
        let join = match sent.event {
            // The resident server has added its signature.
            Some(signed) => checked(vec![signed])
                .await
                .into_iter()
                .find(|event| event.id() == join.id())
                .ok_or_else(|| nonsense("its copy of the join is not the one that was sent"))?,
            None => join,
        };
        let state = checked(sent.state).await;
        let create = state
            .iter()
            .find(|event| event.is("m.room.create", ""))
            .ok_or_else(|| nonsense("there is no create event"))?;
        let named = create
            .content()
            .get("room_version")
            .and_then(Value::as_str)
            .unwrap_or("1");
        if named != version.id() {
            return Err(nonsense(
                "its version is not the one that the server drafted for",
            ));
        }
        let creator = create.sender().to_owned();
        let ids: BTreeSet<OwnedEventId> = state.iter().map(|event| event.id().to_owned()).collect();
        let mut all = checked(sent.auth_chain).await;
        all.extend(state);
        let ordered = by_dependency(all, Event::auth_events);
        let handle = self.known_or_new(room, version, creator).await?;
        let pending = handle
            .run(move |room| {
                Box::pin(async move {
                    room.store_outliers(ordered).await?;
                    let state = room.state_of(&ids).await?;
                    room.enter(join, state).await
                })
            })
            .await?;
        pending.wait().await?;
        Ok(())
    }

    /// The room, which is put into the store if this server has never heard of it.
    pub(crate) async fn known_or_new(
        &self,
        room: &RoomId,
        version: &'static RoomVersion,
        creator: ruma::OwnedUserId,
    ) -> Result<crate::RoomHandle> {
        if let Ok(handle) = self.by_id(room).await {
            return Ok(handle);
        }
        let meta = Arc::new(RoomMeta {
            row: self.context.store.ids().next_room(),
            id: room.to_owned(),
            version,
        });
        let plain = Plain::Room(NewRoom {
            row: meta.row,
            room_id: meta.id.clone(),
            version: version.id().to_owned(),
            creator,
            published: false,
        });
        match self.context.store.write(Write::plain(vec![plain])).await {
            // Somebody else came first.
            Err(storage::Error::Conflict(_)) => self.by_id(room).await,
            written => {
                written?;
                self.by_id(room).await
            }
        }
    }
}

/// The member event that a template stands for, signed.
///
/// # Errors
/// [`Error::UnsupportedRoomVersion`]. [`Error::Refused`]: it is a draft of something else.
pub(super) fn fill(
    context: &Context,
    by: &Requester,
    room: &RoomId,
    membership: &str,
    template: Template,
    content: &Object,
) -> Result<(&'static RoomVersion, Event)> {
    let id = template.room_version.as_deref().unwrap_or("1");
    let version =
        RoomVersion::get(id).ok_or_else(|| Error::UnsupportedRoomVersion(id.to_owned()))?;
    let text = |key: &str| template.event.get(key).and_then(Value::as_str);
    let user = by.user_id.as_str();
    if text("type") != Some("m.room.member")
        || text("sender") != Some(user)
        || text("state_key") != Some(user)
        || text("room_id") != Some(room.as_str())
    {
        return Err(Error::Refused(
            "The other server drafted something else".to_owned(),
        ));
    }
    let mut filled = content.clone();
    let offered = template.event.get("content").and_then(Value::as_object);
    if let Some(authoriser) =
        offered.and_then(|offered| offered.get("join_authorised_via_users_server"))
    {
        filled.insert(
            "join_authorised_via_users_server".to_owned(),
            authoriser.clone(),
        );
    }
    filled.insert("membership".to_owned(), Value::from(membership));
    let depth = template
        .event
        .get("depth")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    let draft = Draft {
        room_id: Some(room.to_owned()),
        sender: by.user_id.clone(),
        event_type: "m.room.member".to_owned(),
        state_key: Some(user.to_owned()),
        content: filled,
        redacts: None,
    };
    let parents = |key| references(&template.event, key, depth.saturating_sub(1));
    let now = context.clock.now_ms();
    let seed = context.chance.secret();
    let event = draft
        .seal(
            version,
            &parents("prev_events"),
            &parents("auth_events"),
            now,
            &seed,
            &context.key,
        )
        .map_err(|error| {
            Error::Refused(format!("The other server's draft cannot be used: {error}"))
        })?;
    Ok((version, event))
}

/// A template that no server made: for a membership that only this server notes.
pub(super) fn empty_template(version: &RoomVersion, room: &RoomId, user: &UserId) -> Template {
    let event = object! {
        "type" => "m.room.member",
        "room_id" => room.as_str(),
        "sender" => user.as_str(),
        "state_key" => user.as_str(),
    };
    Template {
        room_version: Some(version.id().to_owned()),
        event,
    }
}

/// The events that a template names under `key`, in either format.
fn references(template: &Object, key: &str, depth: i64) -> Vec<Parent> {
    let list = template
        .get(key)
        .and_then(Value::as_array)
        .unwrap_or_default();
    let parent = |value: &Value| {
        let id = value
            .as_str()
            .or_else(|| value.as_array()?.first()?.as_str())?;
        let hash = value
            .as_array()
            .and_then(|pair| pair.get(1)?.get("sha256")?.as_str());
        let hash = hash
            .and_then(spec::hash::from_base64)
            .and_then(|hash| hash.try_into().ok());
        Some(Parent {
            id: EventId::parse(id).ok()?,
            reference_hash: hash.unwrap_or_default(),
            depth,
        })
    };
    list.iter().filter_map(parent).collect()
}

/// What a server's refusal means for the user who asked.
pub(crate) fn refused(error: PeerError) -> Error {
    match error {
        PeerError::Refused {
            status: 403, error, ..
        } => Error::Forbidden(error),
        PeerError::Refused { status: 404, .. } => Error::NotFound(crate::Subject::Room),
        other => Error::Refused(other.to_string()),
    }
}
