//! Rooms and events by builder, for tests and benchmarks. Not for servers: mistakes panic.
//!
//! A [`RoomFixture`] is a graph of real events, hashed and signed with keys that follow from the servers' names,
//! so that the same calls give the same room. Events are numbered as they are added, types and state keys as they
//! are met; both numbers serve as the integers of [`crate::resolve`].

use std::{collections::BTreeMap, sync::Arc};

use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};

use crate::{
    auth::{self, Denied, State},
    event::{Draft, Event, Parent},
    hash,
    json::{Object, Value},
    object,
    resolve::{self, Entry, Source},
    room_version::{RoomIds, RoomVersion},
    sign::{KeyRing, PublishedKey, ServerKey},
};

/// A state of the room: which event holds which slot.
pub type Slots = BTreeMap<usize, usize>;

/// What an event says, in short.
#[derive(Debug, Clone)]
pub struct Say {
    pub sender: String,
    pub event_type: String,
    pub state_key: Option<String>,
    pub content: Object,
    pub redacts: Option<OwnedEventId>,
}

impl Say {
    /// A state event.
    pub fn state(sender: &str, event_type: &str, state_key: &str, content: Object) -> Self {
        Self {
            sender: sender.to_owned(),
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            content,
            redacts: None,
        }
    }

    /// A message event.
    pub fn message(sender: &str, event_type: &str, content: Object) -> Self {
        Self {
            state_key: None,
            ..Self::state(sender, event_type, "", content)
        }
    }

    /// A membership event.
    pub fn member(sender: &str, user: &str, membership: &str) -> Self {
        Self::state(
            sender,
            "m.room.member",
            user,
            object! { "membership" => membership },
        )
    }

    /// A redaction of the event `target`.
    pub fn redaction(sender: &str, target: &EventId) -> Self {
        let redacts = Some(target.to_owned());
        Self {
            redacts,
            ..Self::message(sender, "m.room.redaction", Object::new())
        }
    }
}

#[derive(Debug, Clone)]
struct Node {
    event: Arc<Event>,
    prev: Vec<usize>,
    auth: Vec<usize>,
    slot: usize,
    outcome: Result<(), Denied>,
    rejected: bool,
}

/// A room and its events.
#[derive(Debug, Clone)]
pub struct RoomFixture {
    version: &'static RoomVersion,
    room_id: Option<OwnedRoomId>,
    nodes: Vec<Node>,
    heads: Vec<usize>,
    slots: BTreeMap<(String, String), usize>,
    states: BTreeMap<usize, Arc<Slots>>,
    clock: i64,
}

impl RoomFixture {
    /// No room yet: the first event added is to be its create event.
    pub fn empty(version: &str) -> Self {
        Self {
            version: RoomVersion::get(version).expect("a known room version"),
            room_id: None,
            nodes: Vec::new(),
            heads: Vec::new(),
            slots: BTreeMap::new(),
            states: BTreeMap::new(),
            clock: 1_700_000_000_000,
        }
    }

    /// A room with its creator in it, usual power levels, and this join rule.
    pub fn new(version: &str, creator: &str, join_rule: &str) -> Self {
        let mut room = Self::empty(version);
        room.create(creator, Object::new());
        room.add(Say::member(creator, creator, "join"));
        let levels = if room.version.auth.privileged_creators {
            object! { "users" => Object::new() }
        } else {
            object! { "users" => object! { creator => 100 } }
        };
        room.add(Say::state(creator, "m.room.power_levels", "", levels));
        let rule = object! { "join_rule" => join_rule };
        room.add(Say::state(creator, "m.room.join_rules", "", rule));
        room
    }

    pub fn version(&self) -> &'static RoomVersion {
        self.version
    }

    /// Adds the create event, with what its version needs added to `content`.
    pub fn create(&mut self, creator: &str, mut content: Object) -> usize {
        content
            .entry("room_version".to_owned())
            .or_insert_with(|| self.version.id().into());
        if self.version.auth.creator == crate::room_version::Creator::Content {
            content
                .entry("creator".to_owned())
                .or_insert_with(|| creator.into());
        }
        self.add(Say::state(creator, "m.room.create", "", content))
    }

    /// Adds an event after the heads, which it replaces.
    pub fn add(&mut self, say: Say) -> usize {
        let heads = self.heads.clone();
        self.add_after(&heads, say)
    }

    /// Adds an event after `prev`, with the auth events that the state there gives it. It becomes the head.
    pub fn add_after(&mut self, prev: &[usize], say: Say) -> usize {
        let state = self.state_before(prev);
        let user = say.sender.as_str();
        let key = say.state_key.as_deref();
        let auth = auth::needed(self.version, user, &say.event_type, key, &say.content)
            .into_iter()
            .filter_map(|(event_type, key)| state.get(&self.slot(event_type, &key)?).copied())
            .collect();
        self.insert(prev, auth, state, say)
    }

    /// Adds an event after `prev` with these auth events, whatever the rules say.
    pub fn add_with_auth(&mut self, prev: &[usize], auth: &[usize], say: Say) -> usize {
        let state = self.state_before(prev);
        self.insert(prev, auth.to_vec(), state, say)
    }

    fn insert(&mut self, prev: &[usize], auth: Vec<usize>, state: Slots, say: Say) -> usize {
        let server = UserId::parse(say.sender.as_str())
            .expect("a user ID")
            .server_name()
            .to_owned();
        let create = say.event_type == "m.room.create";
        if self.room_id.is_none() && self.version.room_ids == RoomIds::Chosen {
            self.room_id = RoomId::parse(format!("!room:{server}")).ok();
        }
        self.clock += 1000;
        let draft = Draft {
            room_id: self.room_id.clone(),
            sender: UserId::parse(say.sender.as_str()).expect("a user ID"),
            event_type: say.event_type.clone(),
            state_key: say.state_key.clone(),
            content: say.content,
            redacts: say.redacts,
        };
        let parents = |keys: &[usize]| -> Vec<Parent> {
            keys.iter()
                .map(|key| Parent::of(self.version, &self.nodes[*key].event))
                .collect()
        };
        let seed = format!("event{}", self.nodes.len());
        let key = server_key(&server);
        let event = draft
            .seal(
                self.version,
                &parents(prev),
                &parents(&auth),
                self.clock,
                &seed,
                &key,
            )
            .expect("a valid event");
        if create && self.room_id.is_none() {
            self.room_id = Some(event.room_id().to_owned());
        }
        let outcome = auth::check(
            self.version,
            &event,
            &StateAt {
                room: self,
                slots: &state,
            },
        );
        let slots = self.slots.len();
        let key = (
            say.event_type,
            say.state_key.unwrap_or_else(|| "\0message".to_owned()),
        );
        let slot = *self.slots.entry(key).or_insert(slots);
        let number = self.nodes.len();
        let mut after = state;
        if outcome.is_ok() && event.is_state() {
            after.insert(slot, number);
        }
        // Only the newest state of a line is kept; older ones are found again by `state_after`.
        if let [single] = prev
            && self.nodes[*single].prev.len() == 1
        {
            self.states.remove(single);
        }
        self.states.insert(number, Arc::new(after));
        let event = Arc::new(event);
        self.nodes.push(Node {
            event,
            prev: prev.to_vec(),
            auth,
            slot,
            outcome,
            rejected: false,
        });
        self.heads = vec![number];
        number
    }

    /// Sets the clock: the next event is made a second after `ts`.
    pub fn set_clock(&mut self, ts: i64) {
        self.clock = ts;
    }

    /// Marks an event as rejected.
    pub fn reject(&mut self, key: usize) {
        self.nodes[key].rejected = true;
    }

    /// The events that the next one comes after.
    pub fn heads(&self) -> &[usize] {
        &self.heads
    }

    pub fn set_heads(&mut self, heads: &[usize]) {
        self.heads = heads.to_vec();
    }

    pub fn event(&self, key: usize) -> &Arc<Event> {
        &self.nodes[key].event
    }

    /// How many events there are; their numbers are below it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the state before the event allowed it.
    pub fn outcome(&self, key: usize) -> Result<(), Denied> {
        self.nodes[key].outcome
    }

    /// The type and state key of a slot.
    pub fn slot_name(&self, slot: usize) -> (&str, &str) {
        let found = self.slots.iter().find(|(_, number)| **number == slot);
        found
            .map(|((event_type, key), _)| (event_type.as_str(), key.as_str()))
            .expect("a slot")
    }

    /// The state after an event.
    pub fn state_after(&self, key: usize) -> Slots {
        let mut line = Vec::new();
        let mut at = key;
        let mut state = loop {
            if let Some(state) = self.states.get(&at) {
                break Slots::clone(state);
            }
            line.push(at);
            match self.nodes[at].prev[..] {
                [] => break Slots::new(),
                [single] => at = single,
                _ => unreachable!("states where lines meet are kept"),
            }
        };
        for key in line.into_iter().rev() {
            let node = &self.nodes[key];
            if node.outcome.is_ok() && node.event.is_state() {
                state.insert(node.slot, key);
            }
        }
        state
    }

    /// The state before an event that comes after `prev`: the resolution of the states there.
    pub fn state_before(&self, prev: &[usize]) -> Slots {
        match prev {
            [] => Slots::new(),
            [single] => self.state_after(*single),
            many => self.resolve(many).into_iter().collect(),
        }
    }

    /// The resolution of the states after these events.
    pub fn resolve(&self, after: &[usize]) -> Vec<(usize, usize)> {
        let states: Vec<Vec<(usize, usize)>> = after
            .iter()
            .map(|key| self.state_after(*key).into_iter().collect())
            .collect();
        let states: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
        resolve::resolve(self.version, &states, self).expect("a fixture has all events")
    }

    /// The state after the heads, to authorise against.
    pub fn current(&self) -> OwnedState<'_> {
        OwnedState {
            room: self,
            slots: self.state_before(&self.heads),
        }
    }

    /// The state after an event, to authorise against.
    pub fn at(&self, key: usize) -> OwnedState<'_> {
        OwnedState {
            room: self,
            slots: self.state_after(key),
        }
    }

    /// The event that holds a type and state key after the heads.
    pub fn current_event(&self, event_type: &str, state_key: &str) -> Option<&Arc<Event>> {
        let slot = Source::slot(self, event_type, state_key)?;
        self.state_before(&self.heads)
            .get(&slot)
            .map(|key| self.event(*key))
    }
}

impl Source for RoomFixture {
    type Key = usize;
    type Slot = usize;

    fn entry(&self, key: usize) -> Option<Entry<'_, usize, usize>> {
        let node = self.nodes.get(key)?;
        Some(Entry {
            event: &node.event,
            slot: node.slot,
            auth_events: &node.auth,
            rejected: node.rejected,
        })
    }

    fn slot(&self, event_type: &str, state_key: &str) -> Option<usize> {
        self.slots
            .get(&(event_type.to_owned(), state_key.to_owned()))
            .copied()
    }
}

struct StateAt<'a> {
    room: &'a RoomFixture,
    slots: &'a Slots,
}

impl State for StateAt<'_> {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        let slot = Source::slot(self.room, event_type, state_key)?;
        self.slots
            .get(&slot)
            .map(|key| &*self.room.nodes[*key].event)
    }
}

/// A state of a fixture's room.
#[derive(Debug)]
pub struct OwnedState<'a> {
    room: &'a RoomFixture,
    slots: Slots,
}

impl State for OwnedState<'_> {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        let slot = Source::slot(self.room, event_type, state_key)?;
        self.slots
            .get(&slot)
            .map(|key| &*self.room.nodes[*key].event)
    }
}

/// The keys of all servers that a fixture's events may come from: each has one, `ed25519:fixture`.
#[derive(Debug, Clone, Copy)]
pub struct AllKeys;

impl KeyRing for AllKeys {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<PublishedKey> {
        let key = server_key(server);
        if key.key_id() != key_id {
            return None;
        }
        Some(PublishedKey {
            key: key.public_key(),
            valid_until_ts: i64::MAX,
            expired_ts: None,
        })
    }
}

/// The key that a server has in fixtures: its seed is the hash of its name.
pub fn server_key(server: &ServerName) -> ServerKey {
    ServerKey::from_seed(server.to_owned(), "fixture", &seed(server))
}

/// The seed of [`server_key`].
pub fn seed(server: &ServerName) -> [u8; 32] {
    hash::sha256(server.as_str().as_bytes())
}

/// A text message's content.
pub fn text(body: &str) -> Object {
    object! { "msgtype" => "m.text", "body" => Value::from(body) }
}
