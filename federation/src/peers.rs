//! The engine's questions to other servers, put to them.

mod directory;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use engine::{
    Direction, PublicRooms, PublicRoomsAsk,
    peers::{Answer, JoinedState, KeyName, PeerError, Peers, Template},
};
use futures_util::future::BoxFuture;
use http::Method;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName, UserId,
};
use spec::{
    json::{Object, Strictness, Value, parse},
    object,
    room_version::RoomVersion,
    sign::PublishedKey,
};
use tracing::debug;

use crate::{
    client::{Ask, AskError, Client, Occasion},
    keys::remote::{Need, RemoteKeyRing},
    uri::Uri,
};

/// How long another server may work on a join: it collects the whole room.
const JOIN_TIME: Duration = Duration::from_secs(180);

/// The largest room that is taken over, in bytes of JSON: a hundred thousand members and more.
const ROOM_BYTES_MAX: usize = 160 * 1024 * 1024;

/// The largest auth chain of one event that is read, in bytes of JSON.
const CHAIN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long another server may look for the children of a space: somebody waits for it.
const HIERARCHY_TIME: Duration = Duration::from_secs(10);

/// The largest answer about one space, in bytes: a thousand children and what they show.
const HIERARCHY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a policy server may look at an event. Whoever asks has a limit of their own as well.
const POLICY_TIME: Duration = Duration::from_secs(30);

/// How long a policy server is left alone that has too much to do and does not say for how long.
const POLICY_REST: Duration = Duration::from_secs(5);

/// The largest answer of a policy server, in bytes: it is a signature.
const POLICY_BYTES_MAX: usize = 64 * 1024;

/// How long another server may look for a state.
const STATE_TIME: Duration = Duration::from_secs(90);

/// Other servers, reached over the network.
pub(crate) struct Network {
    client: Arc<Client>,
    keys: Arc<RemoteKeyRing>,
}

impl Network {
    pub(crate) fn new(client: Arc<Client>, keys: Arc<RemoteKeyRing>) -> Self {
        Self { client, keys }
    }

    async fn ask(&self, server: &ServerName, ask: Ask) -> Result<Object, PeerError> {
        let answer = self.client.ask(server, ask).await;
        answer.map_err(|error| peer_error(server, error))
    }

    /// Asks for what others may have too, unless the server could not be reached lately.
    async fn fetch(&self, server: &ServerName, ask: Ask) -> Result<Object, PeerError> {
        self.ask(server, ask.on(Occasion::Work)).await
    }
}

fn v1(operation: &str) -> Uri {
    Uri::new("/_matrix/federation/v1").segment(operation)
}

fn v2(operation: &str) -> Uri {
    Uri::new("/_matrix/federation/v2").segment(operation)
}

fn peer_error(asked: &ServerName, error: AskError) -> PeerError {
    match error {
        AskError::Refused {
            server,
            status,
            errcode,
            error,
            body,
        } => PeerError::Refused {
            server,
            status,
            errcode,
            error,
            body,
        },
        AskError::Invalid { server, why } => PeerError::Invalid { server, why },
        AskError::Denied(server) => PeerError::Refused {
            status: 403,
            errcode: "M_FORBIDDEN".to_owned(),
            error: format!("This server does not talk to {server}"),
            server,
            body: Object::new(),
        },
        other => {
            debug!(server = %asked, error = other.chain(), "another server cannot be asked");
            PeerError::Unreachable(asked.to_owned())
        }
    }
}

/// What an answer lacks.
fn invalid(server: &ServerName, key: &str) -> PeerError {
    PeerError::Invalid {
        server: server.to_owned(),
        why: format!("{key} is missing, or not what it should be"),
    }
}

/// A list of objects in an answer.
fn objects(server: &ServerName, answer: &mut Object, key: &str) -> Result<Vec<Object>, PeerError> {
    let Some(Value::Array(list)) = answer.remove(key) else {
        return Err(invalid(server, key));
    };
    // What is no object is no event; the others may be.
    let objects = list.into_iter().filter_map(|value| match value {
        Value::Object(object) => Some(object),
        _ => None,
    });
    Ok(objects.collect())
}

fn object(server: &ServerName, answer: &mut Object, key: &str) -> Result<Object, PeerError> {
    match answer.remove(key) {
        Some(Value::Object(object)) => Ok(object),
        _ => Err(invalid(server, key)),
    }
}

/// A list of identifiers in an answer; those that are none are left out.
fn ids<T>(
    server: &ServerName,
    answer: &Object,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, PeerError> {
    let list = answer.get(key).and_then(Value::as_array);
    let list = list.ok_or_else(|| invalid(server, key))?;
    Ok(list.iter().filter_map(|id| parse(id.as_str()?)).collect())
}

fn event_id(text: &str) -> Option<OwnedEventId> {
    EventId::parse(text).ok()
}

fn server_name(text: &str) -> Option<OwnedServerName> {
    spec::server_name::owned(text)
}

impl Peers for Network {
    fn is_resting(&self, server: &ServerName) -> bool {
        self.client.is_resting(server)
    }

    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        membership: &'a str,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> Answer<'a, Template> {
        Box::pin(async move {
            let mut uri = v1(&format!("make_{membership}"))
                .segment(room)
                .segment(user);
            if membership != "leave" {
                for version in RoomVersion::supported() {
                    uri = uri.query("ver", version.id());
                }
            }
            let mut answer = self.ask(server, Ask::get(uri)).await?;
            let version = answer.get("room_version").and_then(Value::as_str);
            Ok(Template {
                room_version: version.map(str::to_owned),
                event: object(server, &mut answer, "event")?,
            })
        })
    }

    fn send_join<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
        join: &'a Object,
    ) -> Answer<'a, JoinedState> {
        Box::pin(async move {
            let uri = v2("send_join").segment(room).segment(event_id);
            let ask = Ask::with(Method::PUT, uri, join.clone()).within(JOIN_TIME, ROOM_BYTES_MAX);
            let mut answer = self.ask(server, ask).await?;
            let servers = ids(server, &answer, "servers_in_room", server_name);
            Ok(JoinedState {
                state: objects(server, &mut answer, "state")?,
                auth_chain: objects(server, &mut answer, "auth_chain")?,
                event: object(server, &mut answer, "event").ok(),
                servers_in_room: servers.unwrap_or_default(),
            })
        })
    }

    fn send_leave<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
        leave: &'a Object,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let uri = v2("send_leave").segment(room).segment(event_id);
            let ask = Ask::with(Method::PUT, uri, leave.clone());
            self.ask(server, ask).await.map(drop)
        })
    }

    fn send_knock<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
        knock: &'a Object,
    ) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            let uri = v1("send_knock").segment(room).segment(event_id);
            let ask = Ask::with(Method::PUT, uri, knock.clone());
            let mut answer = self.ask(server, ask).await?;
            objects(server, &mut answer, "knock_room_state")
        })
    }

    fn invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_version: &'a str,
        room: &'a RoomId,
        event_id: &'a EventId,
        invite: &'a Object,
        room_state: Vec<Object>,
    ) -> Answer<'a, Object> {
        Box::pin(async move {
            let state = Value::Array(room_state.into_iter().map(Value::Object).collect());
            let uri = v2("invite").segment(room).segment(event_id);
            let body = object! {
                "room_version" => room_version,
                "event" => invite.clone(),
                "invite_room_state" => state.clone(),
            };
            match self.ask(server, Ask::with(Method::PUT, uri, body)).await {
                Ok(mut answer) => object(server, &mut answer, "event"),
                Err(PeerError::Refused { errcode, .. })
                    if errcode == "M_UNRECOGNIZED" && matches!(room_version, "1" | "2") =>
                {
                    self.invite_v1(server, room, event_id, invite, state).await
                }
                Err(error) => Err(error),
            }
        })
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        invite: Object,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let uri = v1("exchange_third_party_invite").segment(room);
            let ask = Ask::with(Method::PUT, uri, invite);
            self.ask(server, ask).await.map(drop)
        })
    }

    fn policy_sign<'a>(&'a self, server: &'a ServerName, event: &'a Object) -> Answer<'a, Object> {
        Box::pin(async move {
            let uri = Uri::new("/_matrix/policy/v1").segment("sign");
            let ask =
                Ask::with(Method::POST, uri, event.clone()).within(POLICY_TIME, POLICY_BYTES_MAX);
            match self.client.ask(server, ask).await {
                Err(AskError::Status {
                    server,
                    status: 429,
                    retry_after,
                }) => Err(PeerError::Busy {
                    server,
                    retry_after: retry_after.unwrap_or(POLICY_REST),
                }),
                answer => answer.map_err(|error| peer_error(server, error)),
            }
        })
    }

    fn public_keys<'a>(
        &'a self,
        names: BTreeMap<KeyName, i64>,
        within: Duration,
    ) -> BoxFuture<'a, HashMap<KeyName, PublishedKey>> {
        Box::pin(self.keys.get(names, within, Need::Events))
    }

    fn event<'a>(&'a self, server: &'a ServerName, event_id: &'a EventId) -> Answer<'a, Object> {
        Box::pin(async move {
            let uri = v1("event").segment(event_id);
            let mut answer = self.fetch(server, Ask::get(uri)).await?;
            let mut events = objects(server, &mut answer, "pdus")?;
            events.pop().ok_or_else(|| invalid(server, "pdus"))
        })
    }

    fn event_auth<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            let uri = v1("event_auth").segment(room).segment(event_id);
            let ask = Ask::get(uri).within(STATE_TIME, CHAIN_BYTES_MAX);
            let mut answer = self.fetch(server, ask).await?;
            objects(server, &mut answer, "auth_chain")
        })
    }

    fn state_ids<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        at: &'a EventId,
    ) -> Answer<'a, (Vec<OwnedEventId>, Vec<OwnedEventId>)> {
        Box::pin(async move {
            let uri = v1("state_ids").segment(room).query("event_id", at);
            let ask = Ask::get(uri).within(STATE_TIME, ROOM_BYTES_MAX);
            let answer = self.fetch(server, ask).await?;
            let state = ids(server, &answer, "pdu_ids", event_id)?;
            Ok((state, ids(server, &answer, "auth_chain_ids", event_id)?))
        })
    }

    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, (Vec<Object>, Vec<Object>)> {
        Box::pin(async move {
            let uri = v1("state").segment(room).query("event_id", event_id);
            let ask = Ask::get(uri).within(STATE_TIME, ROOM_BYTES_MAX);
            let mut answer = self.fetch(server, ask).await?;
            let state = objects(server, &mut answer, "pdus")?;
            Ok((state, objects(server, &mut answer, "auth_chain")?))
        })
    }

    fn backfill<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        from: &'a [OwnedEventId],
        limit: u32,
    ) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            let mut uri = v1("backfill").segment(room);
            for event_id in from {
                uri = uri.query("v", event_id);
            }
            let uri = uri.query("limit", limit.to_string());
            let mut answer = self.ask(server, Ask::get(uri)).await?;
            objects(server, &mut answer, "pdus")
        })
    }

    fn event_near<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        ts: i64,
        direction: Direction,
    ) -> Answer<'a, (OwnedEventId, i64)> {
        Box::pin(async move {
            let dir = match direction {
                Direction::Backward => "b",
                Direction::Forward => "f",
            };
            let uri = v1("timestamp_to_event").segment(room);
            let uri = uri.query("ts", ts.to_string()).query("dir", dir);
            let answer = self.ask(server, Ask::get(uri)).await?;
            let id = answer.get("event_id").and_then(Value::as_str);
            let id = id.and_then(event_id);
            let at = answer.get("origin_server_ts").and_then(Value::as_i64);
            id.zip(at).ok_or_else(|| invalid(server, "event_id"))
        })
    }

    fn missing_events<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        earliest: &'a [OwnedEventId],
        latest: &'a [OwnedEventId],
        limit: u32,
    ) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            let uri = v1("get_missing_events").segment(room);
            let ids = |ids: &[OwnedEventId]| {
                Value::Array(ids.iter().map(|id| id.as_str().into()).collect())
            };
            let body = object! {
                "earliest_events" => ids(earliest),
                "latest_events" => ids(latest),
                "limit" => i64::from(limit),
                "min_depth" => 0,
            };
            let mut answer = self
                .fetch(server, Ask::with(Method::POST, uri, body))
                .await?;
            objects(server, &mut answer, "events")
        })
    }

    fn public_rooms<'a>(
        &'a self,
        server: &'a ServerName,
        ask: &'a PublicRoomsAsk,
    ) -> Answer<'a, PublicRooms> {
        Box::pin(async move {
            let mut answer = self.ask(server, directory::ask(ask)).await?;
            directory::page(server, &mut answer)
        })
    }

    fn hierarchy<'a>(&'a self, server: &'a ServerName, room: &'a RoomId) -> Answer<'a, Object> {
        let ask = Ask::get(v1("hierarchy").segment(room));
        Box::pin(self.fetch(server, ask.within(HIERARCHY_TIME, HIERARCHY_BYTES_MAX)))
    }

    fn query_directory<'a>(
        &'a self,
        server: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> Answer<'a, (OwnedRoomId, Vec<OwnedServerName>)> {
        Box::pin(async move {
            let uri = v1("query").segment("directory").query("room_alias", alias);
            let answer = self.ask(server, Ask::get(uri)).await?;
            let room = answer.get("room_id").and_then(Value::as_str);
            let room = room.and_then(|room| RoomId::parse(room).ok());
            let room = room.ok_or_else(|| invalid(server, "room_id"))?;
            Ok((room, ids(server, &answer, "servers", server_name)?))
        })
    }

    fn query_profile<'a>(
        &'a self,
        server: &'a ServerName,
        user: &'a UserId,
        field: Option<&'a str>,
    ) -> Answer<'a, Object> {
        Box::pin(async move {
            let mut uri = v1("query").segment("profile").query("user_id", user);
            if let Some(field) = field {
                uri = uri.query("field", field);
            }
            self.ask(server, Ask::get(uri)).await
        })
    }
}

impl Network {
    /// The first version of the invite, for servers that know no other; its answer is a list.
    async fn invite_v1(
        &self,
        server: &ServerName,
        room: &RoomId,
        event_id: &EventId,
        invite: &Object,
        room_state: Value,
    ) -> Result<Object, PeerError> {
        let uri = v1("invite").segment(room).segment(event_id);
        let mut body = invite.clone();
        let unsigned = object! { "invite_room_state" => room_state };
        body.insert("unsigned".to_owned(), unsigned.into());
        let answer = self
            .client
            .ask_raw(server, Ask::with(Method::PUT, uri, body))
            .await;
        let answer = answer.map_err(|error| peer_error(server, error))?;
        let answer = parse(&answer, Strictness::Lenient).ok();
        let event = match answer {
            Some(Value::Array(mut list)) => list.pop(),
            _ => None,
        };
        match event {
            Some(Value::Object(mut answer)) => object(server, &mut answer, "event"),
            _ => Err(invalid(server, "event")),
        }
    }
}
