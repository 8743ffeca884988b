//! A sync: asking for one, and what it says of a room.

use std::{future::Future, pin::Pin};

use serde_json::Value;

use crate::{Answer, Call, Room, User};

/// A sync that is not asked for yet.
#[must_use = "it is sent when it is awaited"]
pub struct Syncing(Call);

/// The answer to a sync.
#[derive(Clone, Debug)]
pub struct Sync(pub Value);

/// All that several syncs said of one room.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The events of the timelines, in order.
    pub timeline: Vec<Value>,
    /// The events of the state sections, in order.
    pub state: Vec<Value>,
    /// Typing and receipts, in order.
    pub ephemeral: Vec<Value>,
    /// Where the last sync ended.
    pub next_batch: String,
}

/// An event, with what tests look at most.
#[derive(Clone, Debug)]
pub struct Event {
    /// `content`.
    pub content: serde_json::Map<String, Value>,
    /// All of it.
    pub all: Value,
}

impl Syncing {
    pub(crate) fn new(user: &User) -> Self {
        Self(user.get("/_matrix/client/v3/sync"))
    }

    /// What is new since this token.
    pub fn since(self, token: &str) -> Self {
        Self(self.0.query("since", token))
    }

    /// Waits so many milliseconds at most.
    pub fn timeout(self, timeout_ms: u64) -> Self {
        Self(self.0.query("timeout", timeout_ms))
    }

    /// With a filter, in JSON.
    pub fn filter(self, filter: &Value) -> Self {
        Self(self.0.query("filter", filter))
    }

    /// With any other parameter.
    pub fn query(self, name: &str, value: impl ToString) -> Self {
        Self(self.0.query(name, value))
    }

    /// The bare request, for refusals.
    pub fn call(self) -> Call {
        self.0
    }
}

impl IntoFuture for Syncing {
    type Output = Sync;
    type IntoFuture = Pin<Box<dyn Future<Output = Sync> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Sync(self.0.into_future().await.map_ok()) })
    }
}

impl Answer<Value> {
    fn map_ok(self) -> Value {
        self.ok()
    }
}

impl Sync {
    /// The token to go on from.
    ///
    /// # Panics
    /// Never: its schema says that it is there.
    #[must_use]
    pub fn next_batch(&self) -> String {
        self.0["next_batch"]
            .as_str()
            .expect("next_batch is a string")
            .to_owned()
    }

    /// What it says of a room that the user is in.
    #[must_use]
    pub fn joined(&self, room: &Room) -> Option<&Value> {
        self.section("join", room)
    }

    /// What it says of a room that the user has left.
    #[must_use]
    pub fn left(&self, room: &Room) -> Option<&Value> {
        self.section("leave", room)
    }

    /// What it says of a room that the user is invited to.
    #[must_use]
    pub fn invited(&self, room: &Room) -> Option<&Value> {
        self.section("invite", room)
    }

    /// What it says of a room that the user knocks at.
    #[must_use]
    pub fn knocked(&self, room: &Room) -> Option<&Value> {
        self.section("knock", room)
    }

    /// One list of events of a joined or left room, such as `timeline` or `state`. Empty where it is missing.
    #[must_use]
    pub fn events(&self, room: &Room, list: &str) -> &[Value] {
        let events = self
            .joined(room)
            .or_else(|| self.left(room))
            .map(|room| &room[list]["events"]);
        events.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// One event of a timeline.
    #[must_use]
    pub fn event(&self, room: &Room, event: &str) -> Option<&Value> {
        self.events(room, "timeline")
            .iter()
            .find(|e| e["event_id"] == event)
    }

    /// The content of a piece of global account data.
    #[must_use]
    pub fn account_data(&self, event_type: &str) -> Option<&Value> {
        of_type(self.0["account_data"]["events"].as_array()?, event_type)
    }

    /// The content of the room's last ephemeral event or account data of a type; `list` is the section.
    #[must_use]
    pub fn of_room(&self, room: &Room, list: &str, event_type: &str) -> Option<&Value> {
        of_type(self.events(room, list), event_type)
    }

    fn section(&self, section: &str, room: &Room) -> Option<&Value> {
        self.0["rooms"][section].get(&room.id)
    }
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> Option<&'a Value> {
    events
        .iter()
        .rev()
        .find(|event| event["type"] == event_type)
        .map(|event| &event["content"])
}

impl Seen {
    pub(crate) fn add(&mut self, sync: &Sync, room: &Room) {
        self.timeline
            .extend_from_slice(sync.events(room, "timeline"));
        self.state.extend_from_slice(sync.events(room, "state"));
        self.ephemeral
            .extend_from_slice(sync.events(room, "ephemeral"));
        self.next_batch = sync.next_batch();
    }

    /// The event of the timeline with this ID, as it was seen last.
    #[must_use]
    pub fn find(&self, event: &str) -> Option<&Value> {
        self.timeline.iter().rev().find(|e| e["event_id"] == event)
    }

    /// The same, for those who know that it is there.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn event(&self, event: &str) -> Event {
        let all = self
            .find(event)
            .unwrap_or_else(|| panic!("{event} is not in {:?}", self.timeline))
            .clone();
        Event {
            content: all["content"].as_object().cloned().unwrap_or_default(),
            all,
        }
    }

    /// The IDs of the timeline, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        self.timeline
            .iter()
            .filter_map(|event| event["event_id"].as_str())
            .collect()
    }
}
