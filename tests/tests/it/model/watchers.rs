//! Clients that watch, each in its own way.

use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Value, json};
use tests::{User, events::Events, eventually::PATIENCE, path::escape, socket::Socket};
use tokio::time::Instant;

use super::{
    END,
    knowledge::{Knowledge, Told, text},
};

const SLIDING: &str = "/_matrix/client/v4/sync";

/// How many events of a room come at once: few, so that there are gaps.
const LIMIT: u64 = 5;

/// A client.
pub(super) struct Watcher {
    pub(super) name: &'static str,
    user: User,
    pub(super) knowledge: Knowledge,
    /// The token to go on from.
    since: Option<String>,
    transport: Transport,
}

enum Transport {
    /// Whether it wants the state after the timeline.
    LongPoll(bool),
    Socket(Option<Socket>),
    Events(Option<Events>),
    Sliding,
    SlidingSocket(Option<Socket>),
}

impl Watcher {
    /// One of each kind, on a device of its own. State that is decided anew can only be told to those who ask for the
    /// state after the timeline: `late`.
    pub(super) async fn all(user: &User, late: bool) -> Vec<Self> {
        let kinds = [
            ("long-poll", Transport::LongPoll(late)),
            ("long-poll with state after", Transport::LongPoll(true)),
            ("socket", Transport::Socket(None)),
            ("server-sent events", Transport::Events(None)),
            ("sliding", Transport::Sliding),
            ("sliding socket", Transport::SlidingSocket(None)),
        ];
        let mut watchers = Vec::new();
        for (name, transport) in kinds {
            watchers.push(Self {
                name,
                user: user.logs_in_again().await,
                knowledge: Knowledge::default(),
                since: None,
                transport,
            });
        }
        watchers
    }

    /// Hears what is new; or loses the answer or the connection.
    pub(super) async fn looks(&mut self, chance: &mut StdRng) {
        let loses = chance.random_ratio(1, 6);
        match &mut self.transport {
            Transport::LongPoll(_) if loses => drop(self.polls(0).await),
            Transport::Sliding if loses => drop(self.slides(0).await),
            Transport::Socket(socket) | Transport::SlidingSocket(socket) if loses => *socket = None,
            Transport::Events(events) if loses => *events = None,
            _ => self.hears(0).await,
        }
    }

    /// Until the history has ended.
    pub(super) async fn looks_to_the_end(&mut self) {
        let begun = Instant::now();
        while !self.knowledge.account_data.contains_key(END) {
            assert!(begun.elapsed() < PATIENCE, "{} hears of no end", self.name);
            self.hears(5_000).await;
        }
        // What did not fit into the answer that told of the end.
        for _ in 0..3 {
            self.hears(0).await;
        }
    }

    /// What is new, waiting so many milliseconds at most for it.
    async fn hears(&mut self, timeout_ms: u64) {
        match &mut self.transport {
            Transport::LongPoll(_) => {
                let sync = self.polls(timeout_ms).await;
                self.learns(&sync).await;
            }
            Transport::Sliding => {
                let answer = self.slides(timeout_ms).await;
                self.learns_sliding(&answer).await;
            }
            Transport::Socket(_) => {
                for push in self.pushes().await {
                    self.learns(&push).await;
                }
            }
            Transport::Events(_) => {
                for event in self.streams().await {
                    self.learns(&event).await;
                }
            }
            Transport::SlidingSocket(_) => {
                for push in self.slide_pushes().await {
                    self.learns_sliding(&push).await;
                }
            }
        }
    }

    async fn polls(&self, timeout_ms: u64) -> Value {
        let mut syncs = self.user.syncs().filter(&filter()).timeout(timeout_ms);
        if let Some(since) = &self.since {
            syncs = syncs.since(since);
        }
        if matches!(self.transport, Transport::LongPoll(true)) {
            syncs = syncs.query("use_state_after", true);
        }
        syncs.await.0
    }

    async fn slides(&self, timeout_ms: u64) -> Value {
        let mut body = sliding();
        body["timeout"] = json!(timeout_ms);
        if let Some(pos) = &self.since {
            body["pos"] = json!(pos);
        }
        self.user.post(SLIDING, &body).await.ok()
    }

    /// What has been pushed, on a new socket if there is none.
    async fn pushes(&mut self) -> Vec<Value> {
        let Transport::Socket(socket) = &mut self.transport else {
            return Vec::new();
        };
        let filter = escape(&filter().to_string());
        let mut query = format!("use_state_after=true&filter={filter}");
        if let Some(since) = &self.since {
            query = format!("{query}&since={since}");
        }
        let opened = match socket.take() {
            Some(open) => open,
            None => self.user.opens_socket(&query).await,
        };
        let socket = socket.insert(opened);
        let mut pushes = Vec::new();
        while let Some(push) = socket.pushed().await {
            pushes.push(push.0);
        }
        pushes
    }

    /// What has been sent, on a new stream if there is none.
    async fn streams(&mut self) -> Vec<Value> {
        let Transport::Events(events) = &mut self.transport else {
            return Vec::new();
        };
        let filter = escape(&filter().to_string());
        let query = format!("use_state_after=true&filter={filter}");
        let opened = match events.take() {
            Some(open) => open,
            None => self.user.opens_events(&query, self.since.as_deref()).await,
        };
        let events = events.insert(opened);
        let mut told = Vec::new();
        while let Some(event) = events.told().await {
            told.push(event.0);
        }
        told
    }

    async fn slide_pushes(&mut self) -> Vec<Value> {
        let Transport::SlidingSocket(socket) = &mut self.transport else {
            return Vec::new();
        };
        let opened = match socket.take() {
            Some(open) => open,
            None => {
                let mut open = self.user.opens_socket("sliding=true").await;
                let mut body = sliding();
                if let Some(pos) = &self.since {
                    body["pos"] = json!(pos);
                }
                open.asks("sync", body).await;
                open
            }
        };
        let socket = socket.insert(opened);
        let mut pushes = Vec::new();
        while let Some(push) = socket.slid().await {
            assert!(push["data"].is_object(), "{}: {push}", self.name);
            pushes.push(push["data"].clone());
        }
        pushes
    }

    async fn learns(&mut self, sync: &Value) {
        self.since = Some(text(sync, "next_batch"));
        for (room, told) in told(sync) {
            self.knowledge.hears_of(&self.user, &room, told).await;
        }
        self.knowledge.hears(&sync["account_data"]["events"]);
    }

    async fn learns_sliding(&mut self, answer: &Value) {
        self.since = Some(text(answer, "pos"));
        for (room, told) in told_sliding(answer) {
            self.knowledge.hears_of(&self.user, &room, told).await;
        }
        self.knowledge
            .hears(&answer["extensions"]["account_data"]["global"]);
    }

    /// Whether it hears only of receipts for events that it is shown, and of those that come.
    pub(super) fn is_sliding(&self) -> bool {
        matches!(
            self.transport,
            Transport::Sliding | Transport::SlidingSocket(_)
        )
    }
}

/// The filter of a sync. Threads are counted apart, as in sliding sync.
fn filter() -> Value {
    json!({"room": {"timeline": {"limit": LIMIT, "unread_thread_notifications": true}}})
}

/// The body of a request of sliding sync: all rooms, with all their state.
fn sliding() -> Value {
    json!({
        "lists": {"all": {"range": [0, 99], "timeline_limit": LIMIT, "required_state": {"include": [{}]}}},
        "extensions": {
            "account_data": {"enabled": true}, "receipts": {"enabled": true}, "typing": {"enabled": true},
        },
    })
}

/// What a sync says of rooms.
pub(super) fn told(sync: &Value) -> Vec<(String, Told)> {
    let mut all = Vec::new();
    for section in ["join", "leave", "invite", "knock"] {
        for (room, news) in sync["rooms"][section].as_object().into_iter().flatten() {
            let timeline = &news["timeline"];
            let limited = timeline["limited"] == true;
            let unread = &news["unread_notifications"];
            let told = Told {
                membership: Some(section.to_owned()),
                before: list(&news["state"]["events"]),
                timeline: list(&timeline["events"]),
                timeline_is_state: news.get("state_after").is_none(),
                after: list(&news["state_after"]["events"]),
                gap: limited.then(|| text(timeline, "prev_batch")),
                start: timeline["prev_batch"].as_str().map(str::to_owned),
                ephemeral: list(&news["ephemeral"]["events"]),
                account_data: list(&news["account_data"]["events"]),
                unread: [
                    unread["notification_count"].as_u64(),
                    unread["highlight_count"].as_u64(),
                ],
                ..Told::default()
            };
            all.push((room.clone(), told));
        }
    }
    all
}

fn told_sliding(answer: &Value) -> Vec<(String, Told)> {
    let mut all: std::collections::BTreeMap<String, Told> = std::collections::BTreeMap::new();
    for (room, news) in answer["rooms"].as_object().into_iter().flatten() {
        let initial = news["initial"] == true;
        let limited = news["limited"] == true || initial;
        let prev_batch = news["prev_batch"].as_str().map(str::to_owned);
        let told = Told {
            membership: news["membership"].as_str().map(str::to_owned),
            initial,
            timeline: list(&news["timeline_events"]),
            after: list(&news["required_state"]),
            gap: prev_batch.clone().filter(|_| limited),
            start: prev_batch,
            unread: [
                news["notification_count"].as_u64(),
                news["highlight_count"].as_u64(),
            ],
            ..Told::default()
        };
        all.insert(room.clone(), told);
    }
    let extensions = &answer["extensions"];
    for extension in ["receipts", "typing"] {
        for (room, event) in extensions[extension]["rooms"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let told = all.entry(room.clone()).or_default();
            told.ephemeral.push(event.clone());
        }
    }
    let account_data = &extensions["account_data"]["rooms"];
    for (room, events) in account_data.as_object().into_iter().flatten() {
        all.entry(room.clone()).or_default().account_data = list(events);
    }
    all.into_iter().collect()
}

fn list(events: &Value) -> Vec<Value> {
    events.as_array().cloned().unwrap_or_default()
}
