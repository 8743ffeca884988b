//! Joining a room through another server: server-server API, "Joining rooms".

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};
use spec::{
    event::{Draft, Event, MAX_AUTH_EVENTS, MAX_PREV_EVENTS, Parent},
    json::{Object, Value},
    object,
    room_version::RoomVersion,
};
use storage::{
    Plain, Write, purges,
    write::{NewRoom, Outcome},
};

use super::{by_dependency, candidates::Candidates, check, check::check_state};
use crate::{
    Error, Requester, Result,
    context::Context,
    peers::{JoinedState, PeerError, Peers, Template},
    room::{admit::AUTHORISED_VIA, profile::member_fields},
    room_meta::RoomMeta,
    rooms::{RoomHandle, Rooms},
};

/// When somebody may try again to enter a room whose earlier events are still being deleted.
const GOING_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The longest error code that is passed on, in bytes.
pub(super) const ERRCODE_BYTES_MAX: usize = 100;
/// The codes that mean something for the session of a client or for how it asks, which is no business of another server.
const OF_SESSIONS: [&str; 14] = [
    "M_CONSENT_NOT_GIVEN",
    "M_EXPIRED_ACCOUNT",
    "M_GUEST_ACCESS_FORBIDDEN",
    "M_LIMIT_EXCEEDED",
    "M_MISSING_TOKEN",
    "M_NOT_JSON",
    "M_RESOURCE_LIMIT_EXCEEDED",
    "M_UNAUTHORIZED",
    "M_UNKNOWN_TOKEN",
    "M_UNRECOGNIZED",
    "M_USER_DEACTIVATED",
    "M_USER_LOCKED",
    "M_USER_SUSPENDED",
    "ORG_MATRIX_EXPIRED_ACCOUNT",
];
/// The statuses that are about the two servers: who signed, by what method and how often was asked.
const BETWEEN_SERVERS: [u16; 4] = [401, 405, 408, 429];

/// A user on their way into a room.
struct Entry {
    by: Requester,
    room: OwnedRoomId,
    reason: Option<String>,
    extra: Object,
}

/// Whether this server could decide a join.
enum Joined {
    /// It has.
    Here(Result<()>),
    /// It is not in the room, or cannot tell whether the user may join (`refusal`).
    Not {
        known: Option<RoomHandle>,
        refusal: Option<Error>,
    },
}

impl Rooms {
    /// Joins a room, by itself or through another server; returns when the room is usable here.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nobody knows the room. [`Error::Denied`], [`Error::Forbidden`]: the rules of the room.
    /// [`Error::UnableToAuthoriseJoin`], [`Error::UnableToGrantJoin`]: nor can another server let the user in.
    /// [`Error::IncompatibleRoomVersion`]. [`Error::Unreachable`]: no other server gave a usable answer.
    pub(crate) async fn join(
        &self,
        by: &Requester,
        room: &RoomId,
        via: Vec<OwnedServerName>,
        reason: Option<String>,
        extra: Object,
    ) -> Result<()> {
        self.context.check_listed_room(room).await?;
        let entry = Entry {
            by: by.clone(),
            room: room.to_owned(),
            reason,
            extra,
        };
        if let Joined::Here(joined) = self.join_here(&entry).await? {
            return joined;
        }
        if by.guest {
            // What a room says about guests is known to those who are in it.
            return Err(Error::GuestAccessForbidden(
                "Guests join rooms that this server is in already".to_owned(),
            ));
        }
        let rooms = self.clone();
        // To its end, whether or not the client waits: the other server does not take it back either. If this server dies
        // in between, the user is in the room for others and not here, and joining again mends it.
        let work = self.spawn(async move {
            let _turn = rooms.context.handshakes.turn(&entry.room).await;
            // Somebody else may have brought this server into the room in the meantime.
            match rooms.join_here(&entry).await? {
                Joined::Here(joined) => joined,
                Joined::Not { known, refusal } => {
                    rooms.join_elsewhere(&entry, via, known, refusal).await
                }
            }
        });
        work.await
            .map_err(|_| Error::Internal("a join stopped".to_owned()))?
    }

    /// Joins by the decision of this server, if it takes part in the room and has somebody who can let the user in.
    async fn join_here(&self, entry: &Entry) -> Result<Joined> {
        let known = self.find(&entry.room).await?;
        let Some(room) = &known else {
            return Ok(Joined::Not {
                known,
                refusal: None,
            });
        };
        if !room.is_resident().await? {
            return Ok(Joined::Not {
                known,
                refusal: None,
            });
        }
        let (reason, extra) = (entry.reason.clone(), entry.extra.clone());
        match room.join(&entry.by, reason, extra).await {
            Err(refusal @ (Error::UnableToAuthoriseJoin | Error::UnableToGrantJoin)) => {
                Ok(Joined::Not {
                    known,
                    refusal: Some(refusal),
                })
            }
            joined => Ok(Joined::Here(joined.map(drop))),
        }
    }

    /// Joins through another server: one of `via`, that of who invited the user, or, where this server is in the room
    /// but refused to decide, one that is in it too.
    async fn join_elsewhere(
        &self,
        entry: &Entry,
        mut via: Vec<OwnedServerName>,
        known: Option<RoomHandle>,
        refusal: Option<Error>,
    ) -> Result<()> {
        if let Some(known) = &known {
            if refusal.is_some() {
                let servers = known
                    .run(|room| Box::pin(async move { room.authorising_servers().await }))
                    .await?;
                via.splice(0..0, servers);
                via.retain(|server| *server != self.context.server_name);
                if via.is_empty() {
                    return Err(refusal.unwrap_or(Error::UnableToGrantJoin));
                }
            }
            via.extend(known.inviting_server(&entry.by.user_id).await?);
        }
        let mut content = member_fields(&self.context, &entry.by.user_id).await?;
        content.extend(entry.extra.clone());
        if let Some(reason) = &entry.reason {
            content.insert("reason".to_owned(), Value::from(reason.as_str()));
        }
        let joined = self.join_through(entry, via, &content).await;
        match joined {
            // A room of this server that everybody has left: its own rules say why not.
            Err(Error::NotFound(_)) if known.is_some() && refusal.is_none() => Err(
                Error::Forbidden("Nobody is left in the room to let you in".to_owned()),
            ),
            // Nobody else could do better.
            Err(Error::NotFound(_) | Error::Unreachable(_)) if refusal.is_some() => {
                Err(refusal.unwrap_or(Error::UnableToGrantJoin))
            }
            joined => joined,
        }
    }

    /// Joins a room through one of the servers `via`, in their order.
    async fn join_through(
        &self,
        entry: &Entry,
        via: Vec<OwnedServerName>,
        content: &Object,
    ) -> Result<()> {
        let peers = self.peers()?;
        let mut candidates = Candidates::new(&self.context.server_name, &entry.room, via, peers);
        while let Some(server) = candidates.next() {
            match self.join_at(peers, entry, &server, content).await {
                Ok(()) => return Ok(()),
                Err(error) => candidates.failed(&entry.room, &server, error)?,
            }
        }
        Err(candidates.refusal())
    }

    async fn join_at(
        &self,
        peers: &dyn Peers,
        entry: &Entry,
        server: &ServerName,
        content: &Object,
    ) -> Result<()> {
        let (room, user) = (&entry.room, &entry.by.user_id);
        let asked = Instant::now();
        let template = peers
            .make_membership(server, "join", room, user)
            .await
            .map_err(refused)?;
        let (version, join) = fill(&self.context, user, room, "join", template, content)?;
        // Where this server is in the room it knows who must sign. Elsewhere the other server asks.
        let join = match self.find(room).await? {
            Some(known) if known.is_resident().await? => known.recommended(join).await?,
            _ => join,
        };
        let sent = peers
            .send_join(server, room, join.id(), join.object())
            .await
            .map_err(refused)?;
        took("answer", asked);
        let known = self.find(room).await?;
        match known {
            // This server is in the room already: the join takes its place there like any event.
            Some(known) if known.is_resident().await? => {
                let signed = sent.event.unwrap_or_else(|| join.object().clone());
                known.take_join(server, &join, signed).await
            }
            _ => self.enter(server, room, version, join, sent).await,
        }
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
        let nonsense =
            |why: &str| Error::Unreachable(format!("{server} gave no usable room: {why}"));
        let checking = Instant::now();
        let join = match sent.event {
            // The resident server has added its signature.
            Some(signed) => check(&self.context, version, vec![signed])
                .await
                .into_iter()
                .flatten()
                .find(|event| event.id() == join.id() && event.room_id() == room)
                .ok_or_else(|| nonsense("its copy of the join is not the one that was sent"))?,
            None => join,
        };
        let (state, auth_chain) =
            check_state(&self.context, version, sent.state, sent.auth_chain).await;
        let is_here = |event: &Event| event.room_id() == room;
        let state: Vec<Event> = state.into_iter().filter(is_here).collect();
        took("signatures", checking);
        let storing = Instant::now();
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
        let mut places = BTreeSet::new();
        let twice = state
            .iter()
            .any(|event| !places.insert((event.event_type(), event.state_key())));
        if twice {
            return Err(nonsense("its state has a place that two events fill"));
        }
        let creator = create.sender().to_owned();
        let ids: BTreeSet<OwnedEventId> = state.iter().map(|event| event.id().to_owned()).collect();
        let mut all = state;
        all.extend(auth_chain.into_iter().filter(is_here));
        let ordered = by_dependency(all, Event::auth_events);
        let handle = self.known_or_new(room, version, creator).await?;
        let handle = self.in_version(handle, version).await?;
        let handle = handle.ok_or_else(|| nonsense("it is known here to have another version"))?;
        let entered = handle
            .run(move |room| {
                Box::pin(async move {
                    room.store_outliers(ordered).await?;
                    let state = room.state_of(&ids).await?;
                    room.enter(join, state).await
                })
            })
            .await;
        match entered {
            Ok(pending) => {
                pending.wait().await?;
                took("store", storing);
                Ok(())
            }
            // By the rules of its own room: another server may tell another state.
            Err(Error::Denied(_)) => Err(nonsense("its state does not allow the join")),
            Err(error) => Err(error),
        }
    }

    /// The room with this id, if this server has ever heard of it.
    pub(crate) async fn find(&self, room: &RoomId) -> Result<Option<RoomHandle>> {
        match self.by_id(room).await {
            Ok(known) => Ok(Some(known)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The room, which is put into the store if this server has never heard of it.
    pub(crate) async fn known_or_new(
        &self,
        room: &RoomId,
        version: &'static RoomVersion,
        creator: ruma::OwnedUserId,
    ) -> Result<RoomHandle> {
        if let Some(handle) = self.find(room).await? {
            return Ok(handle);
        }
        if purges::is_going(self.context.store.reader(), room).await? {
            // Its events are still being deleted.
            return Err(Error::LimitExceeded {
                retry_after: GOING_RETRY_AFTER,
            });
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

impl RoomHandle {
    /// Takes in a local user's join that another server has signed, as one that this server could not authorise.
    async fn take_join(&self, server: &ServerName, join: &Event, signed: Object) -> Result<()> {
        let signed = self.checked(vec![signed]).await.pop();
        let signed = signed.filter(|event| event.id() == join.id());
        let signed = signed.ok_or_else(|| {
            Error::Unreachable(format!("{server} gave back another join than it was sent"))
        })?;
        match self.take(server, signed).await? {
            Outcome::Accepted => Ok(()),
            _ => Err(Error::Forbidden(
                "The rules of the room refuse it, as this server sees the room".to_owned(),
            )),
        }
    }
}

/// Measures a step of a join, for whoever wonders why it takes long: the other server's answers, the signatures of the
/// state, its authorisation and storage.
fn took(step: &'static str, since: Instant) {
    metrics::histogram!("rookery_federation_join_seconds", "step" => step).record(since.elapsed());
}

/// The member event that a template stands for, signed.
///
/// # Errors
/// [`Error::IncompatibleRoomVersion`]. [`Error::Unreachable`]: it is a draft of something else, or of no event.
pub(super) fn fill(
    context: &Context,
    user: &UserId,
    room: &RoomId,
    membership: &str,
    template: Template,
    content: &Object,
) -> Result<(&'static RoomVersion, Event)> {
    let id = template.room_version.as_deref().unwrap_or("1");
    let version =
        RoomVersion::get(id).ok_or_else(|| Error::IncompatibleRoomVersion(id.to_owned()))?;
    let text = |key: &str| template.event.get(key).and_then(Value::as_str);
    let offered = template.event.get("content").and_then(Value::as_object);
    let offered = |key: &str| offered.and_then(|offered| offered.get(key)?.as_str());
    if text("type") != Some("m.room.member")
        || text("sender") != Some(user.as_str())
        || text("state_key") != Some(user.as_str())
        || text("room_id") != Some(room.as_str())
        || offered("membership") != Some(membership)
    {
        return Err(Error::Unreachable(
            "The other server drafted something else".to_owned(),
        ));
    }
    let mut filled = content.clone();
    if membership == "join"
        && let Some(authoriser) = offered(AUTHORISED_VIA)
    {
        filled.insert(AUTHORISED_VIA.to_owned(), authoriser.into());
    }
    filled.insert("membership".to_owned(), Value::from(membership));
    let depth = template
        .event
        .get("depth")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    let draft = Draft {
        room_id: Some(room.to_owned()),
        sender: user.to_owned(),
        event_type: "m.room.member".to_owned(),
        state_key: Some(user.to_string()),
        content: filled,
        redacts: None,
    };
    let parents = |key| references(&template.event, key, depth.saturating_sub(1));
    let (before, auth) = (parents("prev_events"), parents("auth_events"));
    if before.len() > MAX_PREV_EVENTS || auth.len() > MAX_AUTH_EVENTS {
        return Err(Error::Unreachable(
            "The other server's draft names too many events".to_owned(),
        ));
    }
    let now = context.clock.now_ms();
    let seed = context.chance.secret();
    let event = draft
        .seal(version, &before, &auth, now, &seed, &context.key)
        .map_err(|error| {
            Error::Unreachable(format!("The other server's draft cannot be used: {error}"))
        })?;
    Ok((version, event))
}

/// A template that no server made: for a membership that only this server notes.
pub(super) fn empty_template(
    version: &RoomVersion,
    room: &RoomId,
    user: &UserId,
    membership: &str,
) -> Template {
    let event = object! {
        "type" => "m.room.member",
        "room_id" => room.as_str(),
        "sender" => user.as_str(),
        "state_key" => user.as_str(),
        "content" => object! { "membership" => membership },
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
    list.iter()
        .take(MAX_PREV_EVENTS + 1)
        .filter_map(parent)
        .collect()
}

/// What a server's refusal means for the user who asked: where this server has nothing to add, the same in its own words.
/// What the user can do nothing about is no refusal of theirs.
pub(crate) fn refused(error: PeerError) -> Error {
    let PeerError::Refused {
        server,
        status,
        errcode,
        error,
        body,
    } = error
    else {
        return Error::Unreachable(error.to_string());
    };
    match (status, errcode.as_str()) {
        (403, "M_INVITE_BLOCKED") => Error::InviteBlocked,
        (403, "M_FORBIDDEN") => Error::Forbidden(error),
        (404, _) => Error::NotFound(crate::Subject::Room),
        (_, "M_UNABLE_TO_AUTHORISE_JOIN") => Error::UnableToAuthoriseJoin,
        (_, "M_UNABLE_TO_GRANT_JOIN") => Error::UnableToGrantJoin,
        (_, "M_INCOMPATIBLE_ROOM_VERSION") => {
            let version = body.get("room_version").and_then(Value::as_str);
            Error::IncompatibleRoomVersion(version.unwrap_or_default().to_owned())
        }
        // The user hears why, but nothing that their client takes for a word about its own session.
        (403, code) if !passes(code) => Error::Forbidden(error),
        (400..=499, code) if passes(code) && !BETWEEN_SERVERS.contains(&status) => {
            Error::Elsewhere {
                status,
                errcode,
                error,
            }
        }
        _ => Error::Unreachable(format!("{server} refused with {status} {errcode}: {error}")),
    }
}

/// Whether an error code of another server says something to a client of this one: a code by the grammar, and none of
/// those above.
fn passes(errcode: &str) -> bool {
    let part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !part.is_empty() && part.bytes().all(fits)
    };
    errcode.len() <= ERRCODE_BYTES_MAX
        && !OF_SESSIONS.contains(&errcode)
        && errcode.starts_with(|c: char| c.is_ascii_uppercase())
        && errcode.split('.').all(part)
}
