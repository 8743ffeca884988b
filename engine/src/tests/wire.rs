//! Servers that reach each other without a network: what one asks is put to the other's [`Inbound`](crate::inbound).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName, UserId,
};
use spec::{
    json::{Object, Strictness, parse_object},
    sign::{PublishedKey, ServerKey},
};

use crate::{
    Direction, Engine, Error, PublicRooms, PublicRoomsAsk,
    inbound::{SentMembership, Signed},
    peers::{Answer, JoinedState, KeyName, PeerError, Peers, Template},
};

/// All servers that can reach each other, and the one that asks.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) own: OwnedServerName,
    /// Not kept from here: they have the wire.
    pub(super) servers: Weak<Mutex<HashMap<OwnedServerName, Engine>>>,
    pub(super) meddler: Meddler,
    pub(super) script: Arc<Script>,
}

/// What was asked, and what is answered instead of the truth.
#[derive(Default)]
pub(super) struct Script {
    pub(super) calls: Mutex<Vec<Call>>,
    lie: Mutex<Option<Liar>>,
    policy: Mutex<Option<Policy>>,
    /// Where the next answer of a policy server waits.
    gate: Mutex<Option<Arc<Gate>>>,
    /// Who could not be reached lately.
    pub(super) resting: Mutex<BTreeSet<OwnedServerName>>,
    /// Who does not tell their keys, nor that they will not.
    pub(super) keyless: Mutex<BTreeSet<OwnedServerName>>,
}

/// A place where a policy server holds an event of a kind.
pub(super) struct Gate {
    kind: &'static str,
    /// One is there.
    pub(super) entered: tokio::sync::Notify,
    /// It may go on.
    pub(super) opened: tokio::sync::Notify,
}

/// How the policy server answers that was asked; `None`: not at all.
type Policy = Box<dyn Fn(&Object) -> Option<Result<Object, (u16, &'static str)>> + Send>;

/// Decides what is answered; `None`: the truth.
type Liar = Box<dyn Fn(&Call) -> Option<Lie> + Send>;

/// A question that one server asks another about events.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) to: OwnedServerName,
    pub(super) operation: &'static str,
    pub(super) event: Option<OwnedEventId>,
}

/// What is answered instead of the truth.
pub(super) enum Lie {
    /// Nothing.
    Silence,
    /// 404.
    Refusal,
    /// These.
    Events(Vec<Object>),
}

impl Script {
    /// From now on `lie` decides what is answered.
    pub(super) fn play(&self, lie: impl Fn(&Call) -> Option<Lie> + Send + 'static) {
        *self.lie.lock().unwrap() = Some(Box::new(lie));
    }

    /// From now on `policy` decides what policy servers answer.
    pub(super) fn plays_policy(
        &self,
        policy: impl Fn(&Object) -> Option<Result<Object, (u16, &'static str)>> + Send + 'static,
    ) {
        *self.policy.lock().unwrap() = Some(Box::new(policy));
    }

    /// The next event of this kind waits at the policy server.
    pub(super) fn holds(&self, kind: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate {
            kind,
            entered: tokio::sync::Notify::new(),
            opened: tokio::sync::Notify::new(),
        });
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// How often an operation was asked for.
    pub(super) fn count(&self, operation: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }
}

/// Who sits on the wire and may change what servers answer that are asked for history.
pub(super) type Meddler = Arc<Mutex<Option<Meddle>>>;

/// Makes one answer of another.
pub(super) type Meddle = Box<dyn FnMut(Vec<Object>) -> Vec<Object> + Send>;

impl Wire {
    /// The lie that is told instead, if one is.
    fn lie(
        &self,
        server: &ServerName,
        operation: &'static str,
        event: Option<&EventId>,
    ) -> Option<Result<Vec<Object>, PeerError>> {
        let call = Call {
            to: server.to_owned(),
            operation,
            event: event.map(ToOwned::to_owned),
        };
        self.script.calls.lock().unwrap().push(call.clone());
        let lie = self.script.lie.lock().unwrap();
        match lie.as_ref()?(&call)? {
            Lie::Silence => Some(Err(PeerError::Unreachable(server.to_owned()))),
            Lie::Refusal => {
                let error = Error::NotFound(crate::Subject::Event);
                Some(Err(refusal(server, &error)))
            }
            Lie::Events(events) => Some(Ok(events)),
        }
    }

    fn to(&self, server: &ServerName) -> Result<Engine, PeerError> {
        let unreachable = || PeerError::Unreachable(server.to_owned());
        let servers = self.servers.upgrade().ok_or_else(unreachable)?;
        let servers = servers.lock().expect("no test panics while it holds this");
        servers.get(server).cloned().ok_or_else(unreachable)
    }
}

impl Wire {
    /// The events that the other server gives, as whoever sits on the wire lets them through.
    fn meddled(&self, events: Vec<Object>) -> Vec<Object> {
        let mut meddler = self
            .meddler
            .lock()
            .expect("no test panics while it holds this");
        match meddler.as_mut() {
            Some(meddle) => meddle(events),
            None => events,
        }
    }

    async fn send(
        &self,
        server: &ServerName,
        membership: &'static str,
        room: &RoomId,
        event_id: &EventId,
        pdu: &Object,
    ) -> Result<SentMembership, PeerError> {
        let signed = Signed {
            membership,
            event_id: event_id.to_owned(),
            pdu: pdu.clone(),
            omit_members: false,
        };
        let inbound = self.to(server)?.inbound();
        let sent = inbound.send_membership(&self.own, room, signed).await;
        sent.map_err(|error| refusal(server, &error))
    }
}

/// The key with which [`super::fixture::House`] signs for a server.
pub(super) fn key_of(server: OwnedServerName) -> ServerKey {
    ServerKey::from_seed(server, "1", &[7; 32])
}

fn refusal(server: &ServerName, error: &Error) -> PeerError {
    let (status, errcode) = match error {
        Error::NotFound(_) => (404, "M_NOT_FOUND"),
        Error::Forbidden(_) | Error::Denied(_) | Error::Policy { .. } => (403, "M_FORBIDDEN"),
        Error::UnableToAuthoriseJoin => (400, "M_UNABLE_TO_AUTHORISE_JOIN"),
        Error::UnableToGrantJoin => (400, "M_UNABLE_TO_GRANT_JOIN"),
        Error::UnsupportedRoomVersion(_) => (400, "M_INCOMPATIBLE_ROOM_VERSION"),
        Error::InvalidParam(_) => (400, "M_INVALID_PARAM"),
        _ => (400, "M_UNKNOWN"),
    };
    PeerError::Refused {
        server: server.to_owned(),
        status,
        errcode: errcode.to_owned(),
        error: error.to_string(),
        body: Object::new(),
    }
}

impl Peers for Wire {
    fn is_resting(&self, server: &ServerName) -> bool {
        self.script.resting.lock().unwrap().contains(server)
    }

    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        membership: &'a str,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> Answer<'a, Template> {
        Box::pin(async move {
            self.script.calls.lock().unwrap().push(Call {
                to: server.to_owned(),
                operation: "make_membership",
                event: None,
            });
            let inbound = self.to(server)?.inbound();
            let made = inbound
                .make_membership(&self.own, membership, room, user, None)
                .await;
            made.map_err(|error| refusal(server, &error))
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
            let sent = self.send(server, "join", room, event_id, join).await;
            let sent = sent?;
            Ok(JoinedState {
                state: self.meddled(sent.state),
                auth_chain: sent.auth_chain,
                event: Some(sent.event),
                servers_in_room: sent.servers,
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
            let sent = self.send(server, "leave", room, event_id, leave).await;
            sent.map(drop)
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
            let sent = self.send(server, "knock", room, event_id, knock).await;
            Ok(sent?.state)
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
            if let Some(Err(error)) = self.lie(server, "invite", Some(event_id)) {
                return Err(error);
            }
            let inbound = self.to(server)?.inbound();
            let signed = inbound
                .invite(
                    &self.own,
                    room,
                    event_id,
                    Some(room_version),
                    invite.clone(),
                    room_state,
                )
                .await;
            signed.map_err(|error| refusal(server, &error))
        })
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        invite: Object,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let inbound = self.to(server)?.inbound();
            let exchanged = inbound.exchange(&self.own, room, &invite).await;
            exchanged.map_err(|error| refusal(server, &error))
        })
    }

    fn policy_sign<'a>(&'a self, server: &'a ServerName, event: &'a Object) -> Answer<'a, Object> {
        Box::pin(async move {
            self.script.calls.lock().unwrap().push(Call {
                to: server.to_owned(),
                operation: "sign",
                event: None,
            });
            let held = self.script.gate.lock().unwrap().take_if(|gate| {
                event.get("type").and_then(|kind| kind.as_str()) == Some(gate.kind)
            });
            if let Some(gate) = held {
                gate.entered.notify_one();
                gate.opened.notified().await;
            }
            let policy = self.script.policy.lock().unwrap();
            match policy.as_ref().and_then(|policy| policy(event)) {
                None => Err(PeerError::Unreachable(server.to_owned())),
                Some(Ok(signatures)) => Ok(signatures),
                Some(Err((status, errcode))) => Err(PeerError::Refused {
                    server: server.to_owned(),
                    status,
                    errcode: errcode.to_owned(),
                    error: "no spam".to_owned(),
                    body: Object::new(),
                }),
            }
        })
    }

    fn public_keys<'a>(
        &'a self,
        mut names: BTreeMap<KeyName, i64>,
        within: Duration,
    ) -> BoxFuture<'a, HashMap<KeyName, PublishedKey>> {
        Box::pin(async move {
            let is_keyless =
                |name: &KeyName| self.script.keyless.lock().unwrap().contains(&name.server);
            let all_told = async {
                while names.keys().any(is_keyless) {
                    tokio::task::yield_now().await;
                }
            };
            if tokio::time::timeout(within, all_told).await.is_err() {
                names.retain(|name, _| !is_keyless(name));
            }
            let published = |name: KeyName| {
                let key = key_of(name.server.clone()).public_key();
                (
                    name,
                    PublishedKey {
                        key,
                        valid_until_ts: i64::MAX,
                        expired_ts: None,
                    },
                )
            };
            names.into_keys().map(published).collect()
        })
    }

    fn event<'a>(&'a self, server: &'a ServerName, event_id: &'a EventId) -> Answer<'a, Object> {
        Box::pin(async move {
            if let Some(lie) = self.lie(server, "event", Some(event_id)) {
                return lie.map(|mut events| events.remove(0));
            }
            let event = self.to(server)?.inbound().event(&self.own, event_id).await;
            event.map_err(|error| refusal(server, &error))
        })
    }

    fn event_auth<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            if let Some(lie) = self.lie(server, "event_auth", Some(event_id)) {
                return lie;
            }
            let chain = self
                .to(server)?
                .inbound()
                .event_auth(&self.own, room, event_id)
                .await;
            chain.map_err(|error| refusal(server, &error))
        })
    }

    fn state_ids<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, (Vec<OwnedEventId>, Vec<OwnedEventId>)> {
        Box::pin(async move {
            if let Some(lie) = self.lie(server, "state_ids", Some(event_id)) {
                return lie.map(|_| (Vec::new(), Vec::new()));
            }
            let ids = self
                .to(server)?
                .inbound()
                .state_ids(&self.own, room, event_id)
                .await;
            ids.map_err(|error| refusal(server, &error))
        })
    }

    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, (Vec<Object>, Vec<Object>)> {
        Box::pin(async move {
            if let Some(lie) = self.lie(server, "state", Some(event_id)) {
                return lie.map(|state| (state, Vec::new()));
            }
            let state = self
                .to(server)?
                .inbound()
                .state(&self.own, room, event_id)
                .await;
            state.map_err(|error| refusal(server, &error))
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
            let events = self
                .to(server)?
                .inbound()
                .backfill(&self.own, room, from, limit as usize)
                .await;
            let events = events.map_err(|error| refusal(server, &error))?;
            Ok(self.meddled(events))
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
            let inbound = self.to(server)?.inbound();
            let near = inbound.event_near(&self.own, room, ts, direction).await;
            near.map_err(|error| refusal(server, &error))
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
            if let Some(lie) = self.lie(server, "missing_events", None) {
                return lie;
            }
            let inbound = self.to(server)?.inbound();
            let events = inbound
                .missing_events(&self.own, room, earliest, latest, limit as usize, 0)
                .await;
            events.map_err(|error| refusal(server, &error))
        })
    }

    fn public_rooms<'a>(
        &'a self,
        server: &'a ServerName,
        ask: &'a PublicRoomsAsk,
    ) -> Answer<'a, PublicRooms> {
        Box::pin(async move {
            let page = self.to(server)?.inbound().public_rooms(ask).await;
            page.map_err(|error| refusal(server, &error))
        })
    }

    fn hierarchy<'a>(&'a self, server: &'a ServerName, room: &'a RoomId) -> Answer<'a, Object> {
        Box::pin(async move {
            let inbound = self.to(server)?.inbound();
            let told = inbound.hierarchy(&self.own, room, false).await;
            told.map_err(|error| refusal(server, &error))
        })
    }

    fn query_directory<'a>(
        &'a self,
        server: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> Answer<'a, (OwnedRoomId, Vec<OwnedServerName>)> {
        Box::pin(async move {
            let found = self.to(server)?.inbound().directory(alias).await;
            found.map_err(|error| refusal(server, &error))
        })
    }

    fn query_profile<'a>(
        &'a self,
        server: &'a ServerName,
        user: &'a UserId,
        _: Option<&'a str>,
    ) -> Answer<'a, Object> {
        Box::pin(async move {
            let fields = self.to(server)?.accounts().profile(user).await;
            let fields = fields.map_err(|error| refusal(server, &error))?;
            let text = serde_json::to_vec(&fields).expect("fields are JSON");
            Ok(parse_object(&text, Strictness::Lenient).expect("an object"))
        })
    }
}
