//! A person: an account with one client of matrix-sdk that syncs in the background.

use std::time::Duration;

use matrix_sdk::config::SyncSettings;
use matrix_sdk::ruma::api::client::account::register::v3::Request as Register;
use matrix_sdk::ruma::api::client::uiaa::{AuthData, Dummy};
use matrix_sdk::ruma::events::room::message::RoomMessageEventContent;
use matrix_sdk::ruma::{OwnedEventId, RoomId, UserId};
use matrix_sdk::sync::RoomUpdates;
use matrix_sdk::{Client, Room, RoomState};
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Result;

const PASSWORD: &str = "correct horse battery staple";
/// Longest wait for anything that the other side should see.
const WAIT: Duration = Duration::from_secs(15);

pub struct Person {
    pub client: Client,
    updates: Receiver<RoomUpdates>,
    /// Everything that came for joined rooms and those just left, timeline and ephemeral.
    events: Vec<Value>,
    syncing: JoinHandle<()>,
}

impl Person {
    /// Registers `name` through the stage `m.login.dummy`, logs in on a new device and syncs.
    pub async fn arrives(base_url: &str, name: &str) -> Result<Self> {
        let visitor = Client::builder().homeserver_url(base_url).build().await?;
        let mut ask = Register::new();
        ask.username = Some(name.to_owned());
        ask.password = Some(PASSWORD.to_owned());
        ask.inhibit_login = true;
        if let Err(refusal) = visitor.matrix_auth().register(ask.clone()).await {
            let session = refusal
                .as_uiaa_response()
                .and_then(|uiaa| uiaa.session.clone());
            let mut dummy = Dummy::new();
            dummy.session = Some(session.ok_or(refusal)?);
            ask.auth = Some(AuthData::Dummy(dummy));
            visitor.matrix_auth().register(ask).await?;
        }
        Self::logs_in(base_url, name).await
    }

    /// Logs in with the password, on a new device, and syncs.
    pub async fn logs_in(base_url: &str, name: &str) -> Result<Self> {
        let client = Client::builder().homeserver_url(base_url).build().await?;
        client
            .matrix_auth()
            .login_username(name, PASSWORD)
            .send()
            .await?;
        let updates = client.subscribe_to_all_room_updates();
        client.sync_once(SyncSettings::new()).await?;
        let looping = client.clone();
        let syncing = tokio::spawn(async move {
            if let Err(error) = looping.sync(SyncSettings::new()).await {
                eprintln!("the sync ended: {error}");
            }
        });
        Ok(Self {
            client,
            updates,
            events: Vec::new(),
            syncing,
        })
    }

    pub fn id(&self) -> &UserId {
        self.client.user_id().expect("a person is logged in")
    }

    pub fn room(&self, room: &RoomId) -> Result<Room> {
        Ok(self
            .client
            .get_room(room)
            .ok_or_else(|| format!("{} has no {room}", self.id()))?)
    }

    pub async fn says(&self, room: &RoomId, text: &str) -> Result<OwnedEventId> {
        let sent = self
            .room(room)?
            .send(RoomMessageEventContent::text_plain(text))
            .await?;
        Ok(sent.response.event_id)
    }

    /// Waits until `find` answers something, asking again after each sync.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&Client, &[Value]) -> Option<T>,
    ) -> Result<T> {
        loop {
            if let Some(found) = find(&self.client, &self.events) {
                return Ok(found);
            }
            match timeout(WAIT, self.updates.recv()).await {
                Ok(updates) => self.remember(updates?),
                Err(_) => return Err(format!("no {what} for {} within {WAIT:?}", self.id()).into()),
            }
        }
    }

    /// Waits until the room is one of `state` for this person.
    pub async fn sees_room(&mut self, room: &RoomId, state: RoomState) -> Result<Room> {
        self.until(&format!("room that is {state:?}"), |client, _| {
            client.get_room(room).filter(|room| room.state() == state)
        })
        .await
    }

    /// Waits for an event that `matches`.
    pub async fn sees(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Result<Value> {
        self.until(what, |_, events| {
            events.iter().find(|event| matches(event)).cloned()
        })
        .await
    }

    /// Waits for a message with this text by `sender`.
    pub async fn sees_text(&mut self, sender: &UserId, text: &str) -> Result<Value> {
        self.sees(&format!("message \"{text}\""), |event| {
            event["sender"] == sender.as_str() && event["content"]["body"] == text
        })
        .await
    }

    /// Waits for an event that gives `user` this membership.
    pub async fn sees_membership(&mut self, user: &UserId, membership: &str) -> Result<Value> {
        self.sees(&format!("membership \"{membership}\" of {user}"), |event| {
            event["type"] == "m.room.member"
                && event["state_key"] == user.as_str()
                && event["content"]["membership"] == membership
        })
        .await
    }

    fn remember(&mut self, updates: RoomUpdates) {
        for update in updates.joined.into_values() {
            let timeline = update
                .timeline
                .events
                .iter()
                .map(|event| event.raw().json().get());
            let ephemeral = update.ephemeral.iter().map(|event| event.json().get());
            self.events.extend(
                timeline
                    .chain(ephemeral)
                    .filter_map(|json| serde_json::from_str(json).ok()),
            );
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.syncing.abort();
    }
}
