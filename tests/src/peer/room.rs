//! A room as the peer knows it, and the events that it makes for it. It believes everybody: the last state wins.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, UserId};
use serde_json::{Value, json};
use spec::{
    auth,
    event::Event,
    hash,
    room_version::{EventIds, References, RoomIds, RoomVersion},
    sign::ServerKey,
};

use super::{
    Peer,
    json::{object, value},
};
use crate::Room;

/// Types and state keys, and the events that hold there.
type State = BTreeMap<(String, String), String>;

/// An event that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Pdu {
    /// Its ID in its room version.
    pub id: String,
    /// All of it.
    pub json: Value,
}

/// A room as the peer knows it.
#[derive(Clone)]
pub struct PeerRoom {
    id: String,
    version: &'static RoomVersion,
    events: BTreeMap<String, Known>,
    /// What the next event builds on.
    heads: Vec<String>,
    state: State,
}

#[derive(Clone)]
struct Known {
    json: Value,
    parents: Vec<String>,
    permits: Vec<String>,
    depth: i64,
    before: State,
}

/// Milliseconds since 1970.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the peer is a server of its own, with a clock of its own"
)]
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = since.expect("a time after 1970").as_millis();
    i64::try_from(since).expect("a time of our days")
}

impl Pdu {
    /// An event with its content hash and the signature of `key`. What it had of both is kept beside it.
    #[must_use]
    pub fn seal(version: &RoomVersion, event: &Value, key: &ServerKey) -> Self {
        let mut event = object(event);
        hash::insert_content_hash(&mut event);
        key.sign_event(version, &mut event);
        Self::of(version, &value(&event))
    }

    /// An event as it is, with the ID that this gives it.
    #[must_use]
    pub fn of(version: &RoomVersion, event: &Value) -> Self {
        let hash = hash::reference_hash(version, &object(event));
        let id = match version.event_ids {
            EventIds::Chosen => event["event_id"].as_str().unwrap_or_default().to_owned(),
            EventIds::HashStandard => format!("${}", hash::base64(&hash)),
            EventIds::HashUrlSafe => format!("${}", hash::base64_url(&hash)),
        };
        let json = event.clone();
        Self { id, json }
    }
}

impl PeerRoom {
    fn empty(id: String, version: &'static RoomVersion) -> Self {
        Self {
            id,
            version,
            events: BTreeMap::new(),
            heads: Vec::new(),
            state: State::new(),
        }
    }

    /// A room that another server gave away: the events of its state, and what permits them.
    pub(super) fn taken_over(
        id: &str,
        version: &'static RoomVersion,
        state: &[Value],
        chain: &[Value],
    ) -> Self {
        let mut room = Self::empty(id.to_owned(), version);
        for json in chain.iter().chain(state) {
            room.keep(&Pdu::of(version, json));
        }
        for json in state {
            room.hold(&Pdu::of(version, json));
        }
        room
    }

    /// Its room version.
    #[must_use]
    pub fn version(&self) -> &'static RoomVersion {
        self.version
    }

    /// What the next event builds on.
    #[must_use]
    pub fn heads(&self) -> &[String] {
        &self.heads
    }

    /// The ID of the current event of a type and state key.
    #[must_use]
    pub fn current(&self, kind: &str, state_key: &str) -> Option<&str> {
        let slot = (kind.to_owned(), state_key.to_owned());
        self.state.get(&slot).map(String::as_str)
    }

    /// The current state, as events.
    #[must_use]
    pub fn state(&self) -> Vec<Value> {
        self.jsons(self.state.values())
    }

    /// The servers with joined users.
    #[must_use]
    pub fn servers(&self) -> BTreeSet<String> {
        let members = self
            .state
            .iter()
            .filter(|((kind, _), _)| kind == "m.room.member");
        let joined = members.filter(|(_, id)| {
            let event = self.events.get(*id);
            event.is_some_and(|known| known.json["content"]["membership"] == "join")
        });
        joined
            .filter_map(|((_, user), _)| Some(user.split_once(':')?.1.to_owned()))
            .collect()
    }

    /// An event of the room, if it is known.
    #[must_use]
    pub fn event(&self, id: &str) -> Option<&Value> {
        self.events.get(id).map(|known| &known.json)
    }

    /// The parents of an event, and what permits it.
    pub(super) fn references(&self, id: &str) -> Option<(&[String], &[String])> {
        let known = self.events.get(id)?;
        Some((&known.parents, &known.permits))
    }

    /// The state before an event.
    pub(super) fn before(&self, id: &str) -> Option<Vec<Value>> {
        let known = self.events.get(id)?;
        Some(self.jsons(known.before.values()))
    }

    /// All that permits `events`, directly or not, without these themselves.
    #[must_use]
    pub fn auth_chain(&self, events: &[Value]) -> Vec<Value> {
        let start: BTreeSet<String> = events.iter().map(|event| self.id_of(event)).collect();
        let mut open: Vec<String> = start.iter().cloned().collect();
        let mut chain = BTreeSet::new();
        while let Some(id) = open.pop() {
            for permit in self
                .events
                .get(&id)
                .into_iter()
                .flat_map(|known| &known.permits)
            {
                if chain.insert(permit.clone()) {
                    open.push(permit.clone());
                }
            }
        }
        self.jsons(chain.difference(&start))
    }

    /// The ID of an event of this room.
    #[must_use]
    pub fn id_of(&self, event: &Value) -> String {
        Pdu::of(self.version, event).id
    }

    /// An event upon the room as it is, with the right parents and permits, but without hashes and signatures.
    #[must_use]
    pub fn draft(
        &self,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Value {
        let needed = auth::needed(self.version, sender, kind, state_key, &object(content));
        let needed = needed
            .iter()
            .filter_map(|(kind, key)| self.current(kind, key));
        let needed: BTreeSet<&str> = needed.collect();
        let mut event = json!({
            "type": kind, "sender": sender, "content": content, "room_id": self.id,
            "origin_server_ts": now_ms(), "depth": self.next_depth(),
            "prev_events": self.named(self.heads.iter().map(String::as_str)),
            "auth_events": self.named(needed),
        });
        if let Some(state_key) = state_key {
            event["state_key"] = json!(state_key);
        }
        if self.version.event_ids == EventIds::Chosen {
            let server = sender.split_once(':').map_or("", |(_, server)| server);
            event["event_id"] = json!(chosen_id(server));
        }
        event
    }

    /// How an event of this room version names other events.
    #[must_use]
    pub fn named<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Value {
        let name = |id: &str| match self.version.references {
            References::Ids => json!(id),
            References::Pairs => {
                let event = self.event(id).map(object).unwrap_or_default();
                let hash = hash::base64(&hash::reference_hash(self.version, &event));
                json!([id, {"sha256": hash}])
            }
        };
        ids.into_iter().map(name).collect()
    }

    /// Puts an event at the end of the room.
    pub fn add(&mut self, pdu: &Pdu) {
        self.keep(pdu);
        let parents = self.events.get(&pdu.id).map(|known| known.parents.clone());
        let parents = parents.unwrap_or_default();
        self.heads.retain(|head| !parents.contains(head));
        self.heads.push(pdu.id.clone());
        self.hold(pdu);
    }

    /// Remembers an event that is not part of the room's course. What is no event is not remembered.
    pub fn keep(&mut self, pdu: &Pdu) {
        let Ok(event) = Event::parse_history(self.version, object(&pdu.json)) else {
            return;
        };
        let ids = |ids: &[OwnedEventId]| ids.iter().map(ToString::to_string).collect();
        let known = Known {
            json: pdu.json.clone(),
            parents: ids(event.prev_events()),
            permits: ids(event.auth_events()),
            depth: event.depth(),
            before: self.state.clone(),
        };
        self.events.insert(pdu.id.clone(), known);
    }

    fn hold(&mut self, pdu: &Pdu) {
        if let (Some(kind), Some(key)) = (pdu.json["type"].as_str(), pdu.json["state_key"].as_str())
        {
            let slot = (kind.to_owned(), key.to_owned());
            self.state.insert(slot, pdu.id.clone());
        }
    }

    fn next_depth(&self) -> i64 {
        let depths = self.heads.iter().filter_map(|head| self.events.get(head));
        depths.map(|known| known.depth).max().unwrap_or(0) + 1
    }

    fn jsons<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
        let found = ids.into_iter().filter_map(|id| self.event(id));
        found.cloned().collect()
    }
}

impl Peer {
    /// A room of the peer's own, made by `creator`, with this join rule.
    ///
    /// # Panics
    /// If there is no such room version.
    #[must_use]
    pub fn creates_room(&self, creator: &str, version: &str, join_rule: &str) -> Room {
        let version = RoomVersion::get(version).expect("a room version");
        let mut content = json!({"room_version": version.id(), "creator": creator});
        let named_by_create = version.room_ids == RoomIds::CreateEvent;
        let mut room = PeerRoom::empty(
            format!("!{:016x}:{}", rand::random::<u64>(), self.name()),
            version,
        );
        if named_by_create {
            content["creator"].take();
            content = json!({"room_version": version.id()});
        }
        let mut create = room.draft(creator, "m.room.create", Some(""), &content);
        if named_by_create && let Some(create) = create.as_object_mut() {
            create.remove("room_id");
        }
        let create = Pdu::seal(version, &create, self.key());
        if named_by_create {
            room.id = create.id.replacen('$', "!", 1);
        }
        room.add(&create);
        let id = Room {
            id: room.id.clone(),
        };
        self.kept().rooms.insert(room.id.clone(), room);
        let mut levels = json!({"users": {creator: 100}});
        if named_by_create {
            levels = json!({"users": {}});
        }
        for (kind, key, content) in [
            ("m.room.member", creator, json!({"membership": "join"})),
            ("m.room.power_levels", "", levels),
            ("m.room.join_rules", "", json!({"join_rule": join_rule})),
        ] {
            self.event(&id, creator, kind, Some(key), &content);
        }
        id
    }

    /// A room that it is in, as it is now.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn room(&self, room: &Room) -> PeerRoom {
        let found = self.kept().rooms.get(&room.id).cloned();
        found.unwrap_or_else(|| panic!("the peer is not in {}", room.id))
    }

    /// Puts an event at the end of a room, for the peer alone.
    pub fn adds(&self, room: &Room, pdu: &Pdu) {
        if let Some(room) = self.kept().rooms.get_mut(&room.id) {
            room.add(pdu);
        }
    }

    /// Remembers an event, so that it can be asked for, and goes on as if there were none.
    pub fn keeps(&self, room: &Room, pdu: &Pdu) {
        if let Some(room) = self.kept().rooms.get_mut(&room.id) {
            room.keep(pdu);
        }
    }

    pub(super) fn chosen_id(&self) -> String {
        chosen_id(self.name())
    }

    pub(super) fn holds(&self, room: PeerRoom) {
        self.kept().rooms.insert(room.id.clone(), room);
    }

    /// An event at the end of a room, signed, which nobody has yet.
    ///
    /// # Panics
    /// If it is not in the room.
    pub fn event(
        &self,
        room: &Room,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Pdu {
        let mut kept = self.kept();
        let room = kept.rooms.get_mut(&room.id).expect("a room of the peer");
        let draft = room.draft(sender, kind, state_key, content);
        let pdu = Pdu::seal(room.version, &draft, self.key());
        room.add(&pdu);
        pdu
    }

    /// Hashes and signs an event of a room.
    ///
    /// # Panics
    /// If it is not in the room.
    #[must_use]
    pub fn seals(&self, room: &Room, event: &Value) -> Pdu {
        let kept = self.kept();
        let room = kept.rooms.get(&room.id).expect("a room of the peer");
        Pdu::seal(room.version, event, self.key())
    }

    /// A message at the end of a room, which nobody has yet.
    pub fn says(&self, room: &Room, sender: &str, body: &str) -> Pdu {
        let content = json!({"msgtype": "m.text", "body": body});
        self.event(room, sender, "m.room.message", None, &content)
    }

    /// A message upon the room that is not put at its end: the peer goes on as if there were none.
    #[must_use]
    pub fn message(&self, room: &Room, sender: &str, body: &str) -> Value {
        let content = json!({"msgtype": "m.text", "body": body});
        self.room(room)
            .draft(sender, "m.room.message", None, &content)
    }
}

/// An ID for an event of a room version in which servers choose these.
fn chosen_id(server: &str) -> String {
    format!("${:016x}:{server}", rand::random::<u64>())
}

/// Whether a user is of a server.
pub(super) fn is_of(user: &str, server: &str) -> bool {
    UserId::parse(user).is_ok_and(|user| user.server_name() == server)
}
