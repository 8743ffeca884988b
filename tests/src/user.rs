//! A user with a device: what people do, a verb each.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    Call, Room,
    events::Events,
    eventually::PATIENCE,
    path::v3,
    room::RoomBuilder,
    server::Connection,
    socket::Socket,
    sync::{Seen, Sync, Syncing},
};

/// One user on one device.
#[derive(Clone)]
pub struct User {
    /// `@name:server`.
    pub id: String,
    /// The device of `token`.
    pub device: String,
    /// The access token.
    pub token: String,
    /// What to log in with.
    pub password: String,
    connection: Arc<Connection>,
}

/// The answer to a send.
#[derive(Debug, Deserialize)]
pub struct Sent {
    /// Of the new event.
    pub event_id: String,
}

impl User {
    /// A user by the answer to a registration or login.
    ///
    /// # Panics
    /// If the answer has no session.
    #[must_use]
    pub fn new(connection: &Arc<Connection>, session: &Value, password: String) -> Self {
        let text = |key: &str| {
            session[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key} in {session}"))
                .to_owned()
        };
        Self {
            id: text("user_id"),
            device: text("device_id"),
            token: text("access_token"),
            password,
            connection: Arc::clone(connection),
        }
    }

    /// Any request with the user's token.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call {
        Call::new(&self.connection, method, path).token(&self.token)
    }

    /// `GET`.
    pub fn get(&self, path: impl Into<String>) -> Call {
        self.call(Method::GET, path)
    }

    /// `PUT` of an object.
    pub fn put(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::PUT, path).json(body)
    }

    /// `POST` of an object.
    pub fn post(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// `DELETE`.
    pub fn delete(&self, path: impl Into<String>) -> Call {
        self.call(Method::DELETE, path)
    }

    /// The name before the colon.
    #[must_use]
    pub fn name(&self) -> &str {
        self.id
            .trim_start_matches('@')
            .split(':')
            .next()
            .unwrap_or_default()
    }

    /// The server after the colon.
    #[must_use]
    pub fn server_name(&self) -> &str {
        self.id.split_once(':').map_or("", |(_, server)| server)
    }

    /// A socket with the user's token; `query` is what stands behind the `?`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn opens_socket(&self, query: &str) -> Socket {
        let opened = Socket::open(&self.connection, &self.token, query).await;
        opened.unwrap_or_else(|(status, body)| panic!("a socket was refused: {status} {body}"))
    }

    /// Opens a stream of server-sent events; `last`: the ID of the event to go on from.
    pub async fn opens_events(&self, query: &str, last: Option<&str>) -> Events {
        Events::open(&self.connection, &self.token, query, last).await
    }

    /// The same user on a further device.
    pub async fn logs_in_again(&self) -> Self {
        let session = self.logs_in().await.ok();
        Self::new(&self.connection, &session, self.password.clone())
    }

    /// A login with the password.
    pub fn logs_in(&self) -> Call {
        let body = json!({
            "type": "m.login.password", "password": self.password,
            "identifier": {"type": "m.id.user", "user": self.id},
        });
        self.post("/_matrix/client/v3/login", &body).anonymous()
    }

    /// A new room: private, unless the builder says otherwise.
    pub fn creates_room(&self) -> RoomBuilder<'_> {
        RoomBuilder::new(self)
    }

    /// Sends an event.
    pub fn sends(&self, room: &Room, event_type: &str, content: &Value) -> Call<Sent> {
        self.sends_as(room, event_type, &transaction(), content)
    }

    /// Sends an event under a transaction ID.
    pub fn sends_as(
        &self,
        room: &Room,
        event_type: &str,
        txn: &str,
        content: &Value,
    ) -> Call<Sent> {
        self.put(v3(&["rooms", &room.id, "send", event_type, txn]), content)
            .answering()
    }

    /// Says something, and returns the event's ID.
    pub async fn says(&self, room: &Room, body: &str) -> String {
        let content = json!({"msgtype": "m.text", "body": body});
        self.sends(room, "m.room.message", &content)
            .await
            .ok()
            .event_id
    }

    /// Sets a piece of state.
    pub fn sets_state(
        &self,
        room: &Room,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Call<Sent> {
        self.put(
            v3(&["rooms", &room.id, "state", event_type, state_key]),
            content,
        )
        .answering()
    }

    /// Asks for the content of a piece of state.
    pub fn state(&self, room: &Room, event_type: &str, state_key: &str) -> Call {
        self.get(v3(&["rooms", &room.id, "state", event_type, state_key]))
    }

    /// Redacts an event.
    pub fn redacts(&self, room: &Room, event: &str) -> Redacting {
        Redacting {
            user: self.clone(),
            room: room.clone(),
            event: event.to_owned(),
            txn: transaction(),
        }
    }

    /// Joins by ID.
    pub fn joins(&self, room: &Room) -> Call {
        self.in_room(room, "join", &json!({}))
    }

    /// Joins by ID, through another server.
    pub fn joins_via(&self, room: &Room, server: &str) -> Call {
        let joining = self.post(v3(&["join", &room.id]), &json!({}));
        joining.query("via", server)
    }

    /// Leaves, or refuses an invite.
    pub fn leaves(&self, room: &Room) -> Call {
        self.in_room(room, "leave", &json!({}))
    }

    /// Forgets a room.
    pub fn forgets(&self, room: &Room) -> Call {
        self.in_room(room, "forget", &json!({}))
    }

    /// Invites somebody.
    pub fn invites(&self, room: &Room, other: &User) -> Call {
        self.in_room(room, "invite", &json!({"user_id": other.id}))
    }

    /// Kicks somebody.
    pub fn kicks(&self, room: &Room, other: &User) -> Call {
        self.in_room(
            room,
            "kick",
            &json!({"user_id": other.id, "reason": "enough"}),
        )
    }

    /// Bans somebody.
    pub fn bans(&self, room: &Room, other: &User) -> Call {
        self.in_room(
            room,
            "ban",
            &json!({"user_id": other.id, "reason": "enough"}),
        )
    }

    /// Lifts a ban.
    pub fn unbans(&self, room: &Room, other: &User) -> Call {
        self.in_room(room, "unban", &json!({"user_id": other.id}))
    }

    /// `POST /rooms/{room}/{verb}`.
    pub fn in_room(&self, room: &Room, verb: &str, body: &Value) -> Call {
        self.post(v3(&["rooms", &room.id, verb]), body)
    }

    /// Asks for one event.
    pub fn event(&self, room: &Room, event: &str) -> Call {
        self.get(v3(&["rooms", &room.id, "event", event]))
    }

    /// Pages through the history: `dir` is `b` or `f`.
    pub fn messages(&self, room: &Room, dir: &str) -> Call {
        self.get(v3(&["rooms", &room.id, "messages"]))
            .query("dir", dir)
    }

    /// Pages to the end of the history, at most `page` events a time, and returns all of it in that order.
    ///
    /// # Panics
    /// If a page is refused, or the pages do not end.
    pub async fn all_messages(&self, room: &Room, dir: &str, page: usize) -> Vec<Value> {
        let mut all = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..10_000 {
            let mut call = self.messages(room, dir).query("limit", page);
            if let Some(from) = &from {
                call = call.query("from", from);
            }
            let mut answer = call.await.ok();
            if let Some(chunk) = answer["chunk"].as_array_mut() {
                all.append(chunk);
            }
            let Some(end) = answer["end"].as_str() else {
                return all;
            };
            assert_ne!(from.as_deref(), Some(end), "the page begins where it ends");
            from = Some(end.to_owned());
        }
        panic!("no end of pages");
    }

    /// Types, or stops.
    pub fn types(&self, room: &Room, typing: bool) -> Call {
        self.put(
            v3(&["rooms", &room.id, "typing", &self.id]),
            &json!({"typing": typing, "timeout": 20_000}),
        )
    }

    /// Has read up to an event: `kind` is `m.read`, `m.read.private` or `m.fully_read`.
    pub fn reads(&self, room: &Room, kind: &str, event: &str) -> Call {
        self.post(v3(&["rooms", &room.id, "receipt", kind, event]), &json!({}))
    }

    /// One sync. Without `since` an initial one; without `timeout` it does not wait.
    pub fn syncs(&self) -> Syncing {
        Syncing::new(self)
    }

    /// Syncs on from a token until a sync has what is looked for, and returns that with the token to go on from.
    ///
    /// # Panics
    /// If it does not come.
    pub async fn syncs_when<T>(
        &self,
        since: &str,
        mut look: impl FnMut(&Sync) -> Option<T>,
    ) -> (T, String) {
        let mut since = since.to_owned();
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let sync = self.syncs().since(&since).timeout(10_000).await;
            since = sync.next_batch();
            if let Some(found) = look(&sync) {
                return (found, since);
            }
            assert!(
                tokio::time::Instant::now() < patience,
                "in vain {} syncs; last: {sync:?}",
                self.id
            );
        }
    }

    /// The same as a task, which waits while the test goes on. It has begun when this returns.
    pub async fn watches<T: Send + 'static>(
        &self,
        since: &str,
        look: impl FnMut(&Sync) -> Option<T> + Send + 'static,
    ) -> JoinHandle<(T, String)> {
        let (user, since) = (self.clone(), since.to_owned());
        let watching = tokio::spawn(async move { user.syncs_when(&since, look).await });
        tokio::task::yield_now().await;
        watching
    }

    /// Syncs from the beginning until this event of the room arrives, and returns all that was seen of the room.
    pub async fn syncs_until(&self, room: &Room, event: &str) -> Seen {
        self.syncs_on_until(None, room, event).await
    }

    /// The same, going on from a token.
    ///
    /// # Panics
    /// If the event does not arrive.
    pub async fn syncs_on_until(&self, since: Option<&str>, room: &Room, event: &str) -> Seen {
        let mut seen = Seen::default();
        let mut since = since.map(str::to_owned);
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut syncing = self.syncs();
            if let Some(since) = &since {
                syncing = syncing.since(since).timeout(5_000);
            }
            let sync = syncing.await;
            since = Some(sync.next_batch());
            seen.add(&sync, room);
            if seen.find(event).is_some() {
                return seen;
            }
            assert!(
                tokio::time::Instant::now() < patience,
                "{event} never came to {}",
                self.id
            );
        }
    }
}

/// A redaction that is not sent yet.
#[must_use = "it is sent when it is awaited"]
pub struct Redacting {
    user: User,
    room: Room,
    event: String,
    txn: String,
}

impl Redacting {
    /// Under this transaction ID.
    pub fn txn(mut self, txn: &str) -> Self {
        txn.clone_into(&mut self.txn);
        self
    }
}

impl IntoFuture for Redacting {
    type Output = crate::Answer<Sent>;
    type IntoFuture = <Call<Sent> as IntoFuture>::IntoFuture;

    fn into_future(self) -> Self::IntoFuture {
        let path = v3(&["rooms", &self.room.id, "redact", &self.event, &self.txn]);
        self.user
            .put(path, &json!({"reason": "a test"}))
            .answering()
            .into_future()
    }
}

/// A transaction ID that nobody has used.
fn transaction() -> String {
    format!("{:016x}", rand::random::<u64>())
}
