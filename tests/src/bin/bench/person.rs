//! A simulated person: an account with one device and one connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::Result;
use crate::connection::Connection;
use crate::server::Server;

/// Registrations under way at the same time: enough to keep two processors hashing passwords.
const REGISTRATIONS_MAX: usize = 8;
/// Joins under way at the same time.
const JOINS_MAX: usize = 16;
const PASSWORD: &str = "rookery-bench-password";

/// Gives every account of one run its own name, also on a server that was measured before.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: String,
    next: AtomicU64,
}

impl Names {
    /// Names that begin with `measure` and the time.
    pub(crate) fn new(measure: &str) -> Self {
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_millis();
        Self {
            prefix: format!("{measure}-{now}"),
            next: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        format!(
            "{}-{}",
            self.prefix,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// An account that is logged in.
#[derive(Debug)]
pub(crate) struct Person {
    connection: Connection,
    authorization: HeaderValue,
    sent: u64,
}

/// A device that is logged in and not connected.
#[derive(Debug)]
pub(crate) struct Card(HeaderValue);

impl Card {
    /// A connection of the device.
    pub(crate) async fn connects(&self, server: &Server) -> Result<Person> {
        Ok(Person {
            connection: server.connect().await?,
            authorization: self.0.clone(),
            sent: 1 << 32,
        })
    }
}

#[derive(Deserialize)]
struct Session {
    access_token: String,
}

#[derive(Deserialize)]
struct Room {
    room_id: String,
}

#[derive(Deserialize)]
struct Whoami {
    user_id: String,
}

#[derive(Deserialize)]
struct Sync {
    next_batch: String,
}

impl Person {
    /// Registers `count` people.
    pub(crate) async fn crowd(server: &Server, names: &Names, count: usize) -> Result<Vec<Self>> {
        stream::iter(0..count)
            .map(|_| Self::register(server, names))
            .buffered(REGISTRATIONS_MAX)
            .try_collect()
            .await
    }

    /// Registers one person, openly or with the shared secret.
    pub(crate) async fn register(server: &Server, names: &Names) -> Result<Self> {
        let mut connection = server.connect().await?;
        let name = names.next();
        let token = match server.shared_secret() {
            Some(secret) => register_by_secret(&mut connection, &name, secret).await?,
            None => register_openly(&mut connection, &name).await?,
        };
        let authorization = HeaderValue::from_str(&format!("Bearer {token}"))?;
        Ok(Self {
            connection,
            authorization,
            sent: 0,
        })
    }

    /// The same device on a second connection, to send while the first one waits.
    pub(crate) async fn twin(&self, server: &Server) -> Result<Self> {
        self.card().connects(server).await
    }

    /// What of somebody remains without a connection.
    pub(crate) fn card(&self) -> Card {
        Card(self.authorization.clone())
    }

    /// What the device sends as `Authorization`.
    pub(crate) fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// Creates a public room.
    pub(crate) async fn creates_room(&mut self) -> Result<String> {
        let body = json!({ "preset": "public_chat", "name": "Bench" });
        let room: Room = self.post("/_matrix/client/v3/createRoom", &body).await?;
        Ok(room.room_id)
    }

    /// Creates a public room that the directory lists.
    pub(crate) async fn lists_room(&mut self) -> Result<String> {
        let body = json!({ "visibility": "public", "name": "Bench" });
        let room: Room = self.post("/_matrix/client/v3/createRoom", &body).await?;
        Ok(room.room_id)
    }

    pub(crate) async fn joins(&mut self, room: &str) -> Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{}/join", escaped(room));
        self.post::<Value>(&path, &json!({})).await?;
        Ok(())
    }

    /// All of them join a room, several at a time.
    pub(crate) async fn all_join(people: &mut [Self], room: &str) -> Result<()> {
        stream::iter(people.iter_mut().map(Ok))
            .try_for_each_concurrent(JOINS_MAX, |person| person.joins(room))
            .await
    }

    /// Joins a room through the server of this name.
    pub(crate) async fn joins_via(&mut self, room: &str, server: &str) -> Result<()> {
        let (room, server) = (escaped(room), escaped(server));
        let path = format!("/_matrix/client/v3/join/{room}?via={server}");
        self.post::<Value>(&path, &json!({})).await?;
        Ok(())
    }

    /// Sends a text message; returns when the server has it.
    pub(crate) async fn says(&mut self, room: &str, text: &str) -> Result<()> {
        self.sent += 1;
        let room = escaped(room);
        let path = format!(
            "/_matrix/client/v3/rooms/{room}/send/m.room.message/m{}",
            self.sent
        );
        let body = format!(r#"{{"msgtype":"m.text","body":"{text}"}}"#);
        let token = Some(&self.authorization);
        self.connection
            .request(Method::PUT, &path, token, body)
            .await?
            .success("send")?;
        Ok(())
    }

    /// One sync as it came over the wire. `since` empty: an initial one.
    pub(crate) async fn syncs(&mut self, since: &str, timeout: Duration) -> Result<Bytes> {
        let mut path = format!("/_matrix/client/v3/sync?timeout={}", timeout.as_millis());
        if !since.is_empty() {
            path.push_str("&since=");
            path.push_str(&escaped(since));
        }
        self.get(&path).await
    }

    /// Syncs without waiting until nothing is left that is new; the token after it.
    pub(crate) async fn catches_up(&mut self) -> Result<String> {
        let mut since = next_batch(&self.syncs("", Duration::ZERO).await?)?;
        loop {
            let next = next_batch(&self.syncs(&since, Duration::ZERO).await?)?;
            if next == since {
                return Ok(since);
            }
            since = next;
        }
    }

    /// The body of a `GET`.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes> {
        let token = Some(&self.authorization);
        self.connection
            .request(Method::GET, path, token, "")
            .await?
            .success(path)
    }

    /// Who it is.
    pub(crate) async fn user_id(&mut self) -> Result<String> {
        let answer = self.get("/_matrix/client/v3/account/whoami").await?;
        Ok(serde_json::from_slice::<Whoami>(&answer)?.user_id)
    }

    /// A `PUT` whose answer says nothing.
    pub(crate) async fn put(&mut self, path: &str, body: &Value) -> Result<()> {
        let token = Some(&self.authorization);
        self.connection
            .request(Method::PUT, path, token, body.to_string())
            .await?
            .success(path)?;
        Ok(())
    }

    /// What a `POST` answers.
    pub(crate) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<T> {
        let token = Some(&self.authorization);
        let answer = self
            .connection
            .request(Method::POST, path, token, body.to_string())
            .await?;
        Ok(serde_json::from_slice(&answer.success(path)?)?)
    }
}

/// The token to continue a sync from.
pub(crate) fn next_batch(sync: &[u8]) -> Result<String> {
    Ok(serde_json::from_slice::<Sync>(sync)?.next_batch)
}

/// `text` for a path segment or a query value.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Client-server API, "Account registration": the stage `m.login.dummy` of a session that the
/// first, refused request opens.
async fn register_openly(connection: &mut Connection, name: &str) -> Result<String> {
    let path = "/_matrix/client/v3/register";
    let mut body = json!({ "username": name, "password": PASSWORD });
    let mut answer = connection
        .request(Method::POST, path, None, body.to_string())
        .await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        let refusal: Value = serde_json::from_slice(&answer.body)?;
        body["auth"] = json!({ "type": "m.login.dummy", "session": refusal["session"] });
        answer = connection
            .request(Method::POST, path, None, body.to_string())
            .await?;
    }
    let session: Session = serde_json::from_slice(&answer.success("register")?)?;
    Ok(session.access_token)
}

/// The registration with a shared secret that Synapse introduced.
async fn register_by_secret(
    connection: &mut Connection,
    name: &str,
    secret: &str,
) -> Result<String> {
    let path = "/_synapse/admin/v1/register";
    let answer = connection
        .request(Method::GET, path, None, "")
        .await?
        .success("nonce")?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let nonce = answer["nonce"].as_str().ok_or("the server gave no nonce")?;
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    mac.update([nonce, name, PASSWORD, "notadmin"].join("\0").as_bytes());
    let mac: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let body = json!({
        "nonce": nonce, "username": name, "password": PASSWORD, "admin": false, "mac": mac,
    });
    let answer = connection
        .request(Method::POST, path, None, body.to_string())
        .await?;
    let session: Session = serde_json::from_slice(&answer.success("register")?)?;
    Ok(session.access_token)
}
