//! What a good server answers, for the rooms that the peer holds.

use serde_json::{Map, Value, json};
use spec::sign::SignedRequest;

use super::{
    Ask, Peer, PeerRoom, Reply,
    json::{object, value},
    room::{Pdu, is_of, now_ms},
};

/// How long others may believe its key, in milliseconds.
const KEY_VALIDITY_MS: i64 = 24 * 60 * 60 * 1000;

impl Peer {
    /// The answer to a question: by script, or honest.
    pub(super) fn replies(&self, ask: Ask) -> Reply {
        let scripts = {
            let mut kept = self.kept();
            kept.asked.push(ask.clone());
            kept.scripts.clone()
        };
        let scripted = scripts.iter().rev().find_map(|script| script(&ask));
        scripted.unwrap_or_else(|| self.honest(&ask))
    }

    /// What a good server would answer.
    #[must_use]
    pub fn honest(&self, ask: &Ask) -> Reply {
        let asked = match ask.operation() {
            "key" => Some(self.key_document(now_ms() + KEY_VALIDITY_MS)),
            "version" => Some(json!({"server": {"name": "Peer", "version": "0"}})),
            "make_join" => self.template(ask, "join"),
            "make_leave" => self.template(ask, "leave"),
            "make_knock" => self.template(ask, "knock"),
            "send_join" => self.takes_join(ask),
            "send_leave" => self.takes_member(ask).map(|_| json!({})),
            "send_knock" => self.takes_member(ask).map(|state| json!({"knock_room_state": state})),
            "invite" => Some(json!({"event": self.countersigned(&ask.body["event"], &ask.body["room_version"])})),
            "event" => self.one_event(ask.argument(0)),
            "event_auth" => self.of_room(ask, |room| Some(json!({"auth_chain": room.auth_chain(&[room.event(ask.argument(1))?.clone()])}))),
            "state" => self.of_room(ask, |room| {
                let state = room.before(ask.parameter("event_id")?)?;
                Some(json!({"auth_chain": room.auth_chain(&state), "pdus": state}))
            }),
            "state_ids" => self.of_room(ask, |room| {
                let state = room.before(ask.parameter("event_id")?)?;
                let ids = |events: &[Value]| events.iter().map(|event| room.id_of(event)).collect::<Vec<_>>();
                Some(json!({"auth_chain_ids": ids(&room.auth_chain(&state)), "pdu_ids": ids(&state)}))
            }),
            "backfill" => self.of_room(ask, |room| {
                let from = ask.query.iter().filter(|(name, _)| name == "v").map(|(_, id)| id.clone());
                let limit = ask.parameter("limit").and_then(|limit| limit.parse().ok());
                Some(self.transaction_of(walk_back(room, from.collect(), &[], limit.unwrap_or(10))))
            }),
            "get_missing_events" => self.of_room(ask, |room| Some(missing(room, &ask.body))),
            "send" => Some(self.takes_transaction(&ask.body)),
            "profile" => Some(json!({"displayname": "somebody"})),
            _ => return Reply::refused(404, "M_UNRECOGNIZED"),
        };
        asked.map_or_else(|| Reply::refused(404, "M_NOT_FOUND"), Reply::ok)
    }

    /// Its keys, valid until then (milliseconds since 1970), signed.
    #[must_use]
    pub fn key_document(&self, valid_until_ts: i64) -> Value {
        let key = self.key();
        let mut document = object(&json!({
            "server_name": self.name(), "valid_until_ts": valid_until_ts, "old_verify_keys": {},
            "verify_keys": {key.key_id(): {"key": key.public_key().to_base64()}},
        }));
        key.sign_object(&mut document);
        value(&document)
    }

    /// The header that proves that a request comes from the peer. `body` as it is sent.
    ///
    /// # Panics
    /// If `destination` is no name of a server.
    #[must_use]
    pub fn header(
        &self,
        destination: &str,
        method: &str,
        uri: &str,
        body: Option<&Value>,
    ) -> String {
        let destination = ruma::ServerName::parse(destination).expect("the name of a server");
        let content = body.map(|body| {
            spec::json::parse(body.to_string().as_bytes(), spec::json::Strictness::Lenient)
                .expect("JSON")
        });
        let request = SignedRequest {
            method,
            uri,
            origin: self.key().server(),
            destination: Some(&destination),
            content: content.as_ref(),
        };
        request.sign(self.key()).to_header()
    }

    fn of_room(&self, ask: &Ask, answer: impl Fn(&PeerRoom) -> Option<Value>) -> Option<Value> {
        let room = self.kept().rooms.get(ask.argument(0)).cloned()?;
        answer(&room)
    }

    fn template(&self, ask: &Ask, membership: &str) -> Option<Value> {
        let user = ask.argument(1);
        self.of_room(ask, |room| {
            let content = json!({"membership": membership});
            let event = room.draft(user, "m.room.member", Some(user), &content);
            Some(json!({"room_version": room.version().id(), "event": event}))
        })
    }

    /// Adds a member event, and returns the state before it.
    fn takes_member(&self, ask: &Ask) -> Option<Vec<Value>> {
        let mut kept = self.kept();
        let room = kept.rooms.get_mut(ask.argument(0))?;
        let state = room.state();
        room.add(&Pdu::of(room.version(), &ask.body));
        Some(state)
    }

    fn takes_join(&self, ask: &Ask) -> Option<Value> {
        let state = self.takes_member(ask)?;
        self.of_room(ask, |room| {
            Some(json!({
                "origin": self.name(), "event": ask.body, "members_omitted": false, "servers_in_room": room.servers(),
                "auth_chain": room.auth_chain(&state), "state": state,
            }))
        })
    }

    /// An invite with the signature of the peer beside the one that it has.
    fn countersigned(&self, invite: &Value, version: &Value) -> Value {
        let version = version
            .as_str()
            .and_then(spec::room_version::RoomVersion::get);
        let mut invite = object(invite);
        if let Some(version) = version {
            self.key().sign_event(version, &mut invite);
        }
        value(&invite)
    }

    fn one_event(&self, id: &str) -> Option<Value> {
        let kept = self.kept();
        let event = kept.rooms.values().find_map(|room| room.event(id))?;
        Some(self.transaction_of(vec![event.clone()]))
    }

    fn transaction_of(&self, pdus: Vec<Value>) -> Value {
        json!({"origin": self.name(), "origin_server_ts": now_ms(), "pdus": pdus})
    }

    /// Takes in the events of a transaction, and says that all is well.
    fn takes_transaction(&self, body: &Value) -> Value {
        let mut kept = self.kept();
        let mut results = Map::new();
        for event in body["pdus"].as_array().into_iter().flatten() {
            let room = event["room_id"]
                .as_str()
                .and_then(|room| kept.rooms.get_mut(room));
            let Some(room) = room else { continue };
            let pdu = Pdu::of(room.version(), event);
            if room.event(&pdu.id).is_none() && is_signed_by_sender(event) {
                room.add(&pdu);
            }
            results.insert(pdu.id, json!({}));
        }
        json!({"pdus": results})
    }
}

/// Whether a server of that name has signed, rightly or not.
fn is_signed_by_sender(event: &Value) -> bool {
    let signers = event["signatures"].as_object();
    let sender = event["sender"].as_str().unwrap_or_default();
    signers.is_some_and(|signers| signers.keys().any(|server| is_of(sender, server)))
}

/// Events from `from` on backwards, nearest first, without `stop` and what lies behind.
fn walk_back(room: &PeerRoom, from: Vec<String>, stop: &[String], limit: usize) -> Vec<Value> {
    let mut queue = std::collections::VecDeque::from(from);
    let mut seen: std::collections::BTreeSet<String> = queue.iter().cloned().collect();
    let mut walked = Vec::new();
    while let Some(id) = queue.pop_front().filter(|_| walked.len() < limit) {
        let Some((parents, _)) = room.references(&id).filter(|_| !stop.contains(&id)) else {
            continue;
        };
        walked.extend(room.event(&id).cloned());
        queue.extend(
            parents
                .iter()
                .filter(|id| seen.insert((*id).clone()))
                .cloned(),
        );
    }
    walked
}

fn missing(room: &PeerRoom, body: &Value) -> Value {
    let ids = |key: &str| -> Vec<String> {
        let list = body[key].as_array().into_iter().flatten();
        list.filter_map(|id| id.as_str().map(str::to_owned))
            .collect()
    };
    let limit = body["limit"]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok());
    let latest = ids("latest_events");
    let parents = latest.iter().filter_map(|id| room.references(id));
    let parents = parents.flat_map(|(parents, _)| parents.iter().cloned());
    let mut events = walk_back(
        room,
        parents.collect(),
        &ids("earliest_events"),
        limit.unwrap_or(10),
    );
    events.reverse();
    json!({"events": events})
}
