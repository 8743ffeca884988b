//! What a client knows, as a client finds it out: applying what it is told, and filling gaps from the history.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tests::{Room, User, path::v3};

/// The type and state key of a piece of state.
pub(super) type Place = (String, String);

/// All that a client knows.
#[derive(Default)]
pub(super) struct Knowledge {
    pub(super) rooms: BTreeMap<String, Known>,
    pub(super) account_data: BTreeMap<String, Value>,
}

/// What a client knows of a room.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) membership: String,
    /// Event IDs by place.
    pub(super) state: BTreeMap<Place, String>,
    /// Event IDs, oldest first.
    pub(super) timeline: Vec<String>,
    /// Which of these are redacted.
    pub(super) redacted: BTreeSet<String>,
    /// Those that came as news, and were not looked up.
    pub(super) heard: BTreeSet<String>,
    /// The events before which there may be more that was not to be had.
    open: Vec<String>,
    /// The event that a user has read: by kind, user and thread.
    pub(super) receipts: BTreeMap<(String, String, String), String>,
    pub(super) typing: BTreeSet<String>,
    pub(super) account_data: BTreeMap<String, Value>,
    /// Notifications and highlights.
    pub(super) unread: [u64; 2],
}

/// What is told of a room, by whatever transport.
#[derive(Default)]
pub(super) struct Told {
    pub(super) membership: Option<String>,
    /// The client is to forget what the state was.
    pub(super) initial: bool,
    /// State before the timeline.
    pub(super) before: Vec<Value>,
    /// What is new in the timeline.
    pub(super) timeline: Vec<Value>,
    /// Whether the state follows from the timeline.
    pub(super) timeline_is_state: bool,
    /// State after the timeline.
    pub(super) after: Vec<Value>,
    /// Where the history goes on, if something may be missing before the timeline.
    pub(super) gap: Option<String>,
    /// Where it goes on in any case.
    pub(super) start: Option<String>,
    pub(super) ephemeral: Vec<Value>,
    pub(super) account_data: Vec<Value>,
    pub(super) unread: [Option<u64>; 2],
}

impl Knowledge {
    /// Global account data.
    pub(super) fn hears(&mut self, account_data: &Value) {
        put_account_data(&mut self.account_data, account_data.as_array());
    }

    /// What is told of a room.
    pub(super) async fn hears_of(&mut self, user: &User, room: &str, told: Told) {
        self.rooms
            .entry(room.to_owned())
            .or_default()
            .hears(user, room, told)
            .await;
    }
}

impl Known {
    async fn hears(&mut self, user: &User, room: &str, told: Told) {
        if let Some(membership) = told.membership {
            self.membership = membership;
        }
        if told.initial {
            // Nothing counts that was told before.
            self.state.clear();
            self.receipts.clear();
            self.heard.clear();
        }
        let ids = told.timeline.iter().map(|event| text(event, "event_id"));
        self.heard.extend(ids);
        self.state_is(&told.before);
        let mut news = told.timeline.clone();
        if told.initial || told.gap.is_some() {
            news.retain(|event| !self.timeline.contains(&text(event, "event_id")));
        }
        let first = news.first().map(|event| text(event, "event_id"));
        // Before the first that it hears there may be more, though not for it.
        let is_first = told.gap.is_none() && told.start.is_some() && self.timeline.is_empty();
        let mut open = first.clone().filter(|_| is_first);
        // A client that has the event in front of the timeline already needs nothing more.
        if let Some(from) = &told.gap
            && (news.len() == told.timeline.len() || self.timeline.is_empty())
        {
            let (missed, is_open) = self.history(user, room, from).await;
            let first = missed
                .first()
                .map(|event| text(event, "event_id"))
                .or(first);
            open = first.filter(|_| is_open);
            let missed = self.note(&missed);
            self.timeline.extend(missed);
        }
        let ids = self.note(&news);
        self.timeline.extend(ids);
        self.open.extend(open);
        if self.membership == "join" {
            self.closes_gaps(user, room).await;
        }
        if told.timeline_is_state {
            self.state_is(&told.timeline);
        }
        self.state_is(&told.after);
        for event in &told.ephemeral {
            self.is_shown(event);
        }
        put_account_data(&mut self.account_data, Some(&told.account_data));
        for (known, told) in self.unread.iter_mut().zip(told.unread) {
            *known = told.unwrap_or(*known);
        }
    }

    /// What lies before a token that is not known yet, oldest first; and whether there may be more that may not be seen now.
    async fn history(&self, user: &User, room: &str, from: &str) -> (Vec<Value>, bool) {
        let (room, mut from) = (
            Room {
                id: room.to_owned(),
            },
            from.to_owned(),
        );
        let mut missed = Vec::new();
        let is_open = loop {
            let page = user.messages(&room, "b").query("from", &from).await;
            // Who is no longer in the room may not be shown any more of it.
            if page.status == 403 {
                break true;
            }
            let page = page.ok();
            let chunk = page["chunk"].as_array().cloned().unwrap_or_default();
            let known = |event: &Value| self.timeline.contains(&text(event, "event_id"));
            let end = chunk.iter().position(known);
            missed.extend(chunk.iter().take(end.unwrap_or(chunk.len())).cloned());
            match page["end"].as_str() {
                Some(next) if end.is_none() => next.clone_into(&mut from),
                // A room that is open to the world shows less to it than to who comes in.
                _ => break end.is_none() && self.membership != "join",
            }
        };
        missed.reverse();
        (missed, is_open)
    }

    /// Who has come in may see what was missing before.
    async fn closes_gaps(&mut self, user: &User, room: &str) {
        for event in std::mem::take(&mut self.open) {
            let path = v3(&["rooms", room, "context", &event]);
            let context = user.get(path).query("limit", 0).await.ok();
            let (missed, is_open) = self.history(user, room, &text(&context, "start")).await;
            let at = self.timeline.iter().position(|known| *known == event);
            let at = at.expect("it was heard of");
            let missed = self.note(&missed);
            let first = missed.first().cloned().unwrap_or(event);
            self.timeline.splice(at..at, missed);
            self.open.extend(Some(first).filter(|_| is_open));
        }
    }

    /// The IDs of events that become known.
    fn note(&mut self, events: &[Value]) -> Vec<String> {
        for event in events {
            if event["unsigned"].get("redacted_because").is_some() {
                self.redacted.insert(text(event, "event_id"));
            }
            if event["type"] == "m.room.redaction" {
                let redacts = event["content"]["redacts"].as_str();
                let redacts = redacts.or(event["redacts"].as_str());
                self.redacted.extend(redacts.map(str::to_owned));
            }
        }
        events.iter().map(|event| text(event, "event_id")).collect()
    }

    fn state_is(&mut self, events: &[Value]) {
        for event in events {
            let Some(key) = event["state_key"].as_str() else {
                continue;
            };
            let place = (text(event, "type"), key.to_owned());
            match event["event_id"].as_str() {
                Some(id) => self.state.insert(place, id.to_owned()),
                None => self.state.remove(&place),
            };
        }
    }

    fn is_shown(&mut self, event: &Value) {
        let content = &event["content"];
        if event["type"] == "m.typing" {
            let users = content["user_ids"].as_array().into_iter().flatten();
            self.typing = users
                .filter_map(|user| Some(user.as_str()?.to_owned()))
                .collect();
        }
        if event["type"] == "m.receipt" {
            for (event_id, kinds) in content.as_object().into_iter().flatten() {
                for (kind, users) in kinds.as_object().into_iter().flatten() {
                    for (user, receipt) in users.as_object().into_iter().flatten() {
                        let thread = text(receipt, "thread_id");
                        let key = (kind.clone(), user.clone(), thread);
                        self.receipts.insert(key, event_id.clone());
                    }
                }
            }
        }
    }
}

fn put_account_data(known: &mut BTreeMap<String, Value>, told: Option<&Vec<Value>>) {
    for event in told.into_iter().flatten() {
        known.insert(text(event, "type"), event["content"].clone());
    }
}

/// A member of an object, as text; empty if it is not there.
pub(super) fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}
