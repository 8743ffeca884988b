//! What the peer asks and sends, signed.

use reqwest::Method;
use serde_json::{Value, json};
use spec::room_version::{EventIds, RoomVersion};

use super::{
    Peer, PeerRoom,
    room::{Pdu, now_ms},
};
use crate::{Answer, Call, Room, TestServer, path::join};

const V1: &str = "/_matrix/federation/v1";
const V2: &str = "/_matrix/federation/v2";

impl Peer {
    /// A signed request. `uri` is the path, with the query.
    pub fn asks(
        &self,
        server: &TestServer,
        method: Method,
        uri: &str,
        body: Option<&Value>,
    ) -> Call {
        let header = self.header(server.name(), method.as_str(), uri, body);
        let call = server.call(method, uri).authorization(header);
        match body {
            Some(body) => call.json(body),
            None => call,
        }
    }

    /// A signed `GET` of version 1 of the API. `query` is what stands behind the `?`.
    pub fn gets(&self, server: &TestServer, segments: &[&str], query: &str) -> Call {
        let mut uri = join(V1, segments);
        if !query.is_empty() {
            uri = format!("{uri}?{query}");
        }
        self.asks(server, Method::GET, &uri, None)
    }

    /// Sends events in one transaction.
    pub fn sends(&self, server: &TestServer, pdus: &[Pdu]) -> Call {
        let pdus: Vec<&Value> = pdus.iter().map(|pdu| &pdu.json).collect();
        self.transacts(server, &self.transaction(&json!(pdus), &json!([])))
    }

    /// Sends ephemeral news in one transaction.
    pub fn tells(&self, server: &TestServer, edus: &Value) -> Call {
        self.transacts(server, &self.transaction(&json!([]), edus))
    }

    /// The body of a transaction.
    #[must_use]
    pub fn transaction(&self, pdus: &Value, edus: &Value) -> Value {
        json!({"origin": self.name(), "origin_server_ts": now_ms(), "pdus": pdus, "edus": edus})
    }

    /// Sends a transaction under an ID that nobody has used.
    pub fn transacts(&self, server: &TestServer, body: &Value) -> Call {
        self.transacts_as(server, &format!("{:016x}", rand::random::<u64>()), body)
    }

    /// The same under this ID.
    pub fn transacts_as(&self, server: &TestServer, id: &str, body: &Value) -> Call {
        self.asks(server, Method::PUT, &join(V1, &["send", id]), Some(body))
    }

    /// Lets a user of the peer join a room through a server that is in it.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn joins(&self, server: &TestServer, room: &Room, user: &str) {
        let (version, join) = self.drafts(server, "join", room, user).await;
        let join = Pdu::seal(version, &join, self.key());
        let sent = self.sends_member(server, "join", room, &join).await.ok();
        let list = |key: &str| sent[key].as_array().cloned().unwrap_or_default();
        let mut taken =
            PeerRoom::taken_over(&room.id, version, &list("state"), &list("auth_chain"));
        taken.add(&join);
        self.holds(taken);
    }

    /// The draft of a member event, as a server makes it, completed but not sealed.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn drafts(
        &self,
        server: &TestServer,
        membership: &str,
        room: &Room,
        user: &str,
    ) -> (&'static RoomVersion, Value) {
        let mut template = self.makes(server, membership, room, user).await.ok();
        let version = template["room_version"].as_str().and_then(RoomVersion::get);
        let mut event = template["event"].take();
        event["origin_server_ts"] = json!(now_ms());
        event["content"]["membership"] = json!(membership);
        let version = version.expect("a room version");
        if version.event_ids == EventIds::Chosen {
            event["event_id"] = json!(self.chosen_id());
        }
        (version, event)
    }

    /// Asks for the draft of a member event.
    pub fn makes(&self, server: &TestServer, membership: &str, room: &Room, user: &str) -> Call {
        let versions: Vec<_> = RoomVersion::all()
            .iter()
            .map(|version| format!("ver={}", version.id()))
            .collect();
        let query = if membership == "leave" {
            String::new()
        } else {
            versions.join("&")
        };
        self.gets(
            server,
            &[&format!("make_{membership}"), &room.id, user],
            &query,
        )
    }

    /// Sends a member event that follows from a draft.
    pub fn sends_member(
        &self,
        server: &TestServer,
        membership: &str,
        room: &Room,
        event: &Pdu,
    ) -> Call {
        let prefix = if membership == "knock" { V1 } else { V2 };
        self.sends_member_by(prefix, server, membership, room, event)
    }

    /// The same by the first version of the API, which answers in another form.
    pub fn sends_member_v1(
        &self,
        server: &TestServer,
        membership: &str,
        room: &Room,
        event: &Pdu,
    ) -> Call {
        self.sends_member_by(V1, server, membership, room, event)
    }

    fn sends_member_by(
        &self,
        prefix: &str,
        server: &TestServer,
        membership: &str,
        room: &Room,
        event: &Pdu,
    ) -> Call {
        let uri = join(
            prefix,
            &[&format!("send_{membership}"), &room.id, &event.id],
        );
        self.asks(server, Method::PUT, &uri, Some(&event.json))
    }

    /// Sends an invite, with the state of the room that the peer holds.
    pub fn sends_invite(&self, server: &TestServer, room: &Room, invite: &Pdu) -> Call {
        let held = self.room(room);
        let state: Vec<Value> = held
            .state()
            .into_iter()
            .filter(|event| event["type"] != "m.room.member")
            .collect();
        let body = json!({"room_version": held.version().id(), "event": invite.json, "invite_room_state": state});
        self.sends_invite_body(server, room, &invite.id, &body)
    }

    /// Sends any body as an invite.
    pub fn sends_invite_body(
        &self,
        server: &TestServer,
        room: &Room,
        id: &str,
        body: &Value,
    ) -> Call {
        let uri = join(V2, &["invite", &room.id, id]);
        self.asks(server, Method::PUT, &uri, Some(body))
    }
}

impl Answer<Value> {
    /// What a transaction says of one event: `None` if nothing, `Some(None)` if it was taken, or why it was refused.
    ///
    /// # Panics
    /// If the transaction was refused.
    #[must_use]
    pub fn of_pdu(&self, pdu: &Pdu) -> Option<Option<String>> {
        assert_eq!(self.status, 200, "{}", self.summary());
        let answer = self.json();
        let result = answer["pdus"].get(&pdu.id)?;
        Some(result["error"].as_str().map(str::to_owned))
    }
}
