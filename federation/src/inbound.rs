//! What other servers may ask: a file an operation. Each reads the request, asks the engine once, and answers.
//!
//! The engine works on the main runtime: a worker of actix is one thread that serves many connections, and a
//! server that hangs up must not leave half a transaction behind.

pub(crate) mod backfill;
pub(crate) mod event;
pub(crate) mod event_auth;
pub(crate) mod get_missing_events;
pub(crate) mod hierarchy;
pub(crate) mod invite;
pub(crate) mod make_membership;
pub(crate) mod openid_userinfo;
pub(crate) mod public_rooms;
pub(crate) mod query_directory;
pub(crate) mod query_profile;
pub(crate) mod query_unknown;
pub(crate) mod send_membership;
pub(crate) mod send_transaction;
pub(crate) mod state;
pub(crate) mod state_ids;
pub(crate) mod third_party;
pub(crate) mod timestamp_to_event;
mod turns;

use actix_web::HttpResponse;
use engine::inbound::Inbound;
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};
use spec::json::{Object, Value, encode_object};
use tokio::runtime::Handle;

use self::turns::Turns;
use crate::ApiError;
use crate::x_matrix::Signed;

/// The engine, and where it works.
#[derive(Clone)]
pub(crate) struct Room {
    inbound: Inbound,
    runtime: Handle,
    turns: Turns,
}

impl Room {
    /// The engine, working on the runtime that this is called on.
    pub(crate) fn new(inbound: Inbound) -> Self {
        Self {
            inbound,
            runtime: Handle::current(),
            turns: Turns::default(),
        }
    }

    /// Whether there are servers that it may not want to hear.
    pub(crate) fn follows_lists(&self) -> bool {
        self.inbound.follows_lists()
    }

    /// What the engine answers. It works to the end, even if nobody waits for it any more.
    ///
    /// # Errors
    /// Those of the engine; 500 if it panicked or the server stops.
    pub(crate) async fn ask<T, F>(&self, ask: impl FnOnce(Inbound) -> F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = engine::Result<T>> + Send + 'static,
    {
        let work = self.runtime.spawn(ask(self.inbound.clone()));
        // The panic hook has logged it with its place.
        let answer = work.await.map_err(|_| ApiError::failure())?;
        Ok(answer?)
    }
}

impl Room {
    /// The same for what reads a lot: each server has few of these at once, and few that wait.
    ///
    /// # Errors
    /// As [`Room::ask`]; 429 if too many of that server wait already.
    pub(crate) async fn read<T, F>(
        &self,
        origin: OwnedServerName,
        ask: impl FnOnce(Inbound) -> F,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = engine::Result<T>> + Send + 'static,
    {
        let turn = self.turns.take(origin).await?;
        // It lasts as long as the work, which goes on when the server hangs up.
        self.ask(|inbound| {
            let work = ask(inbound);
            async move {
                let _turn = turn;
                work.await
            }
        })
        .await
    }
}

/// 200 with this object.
fn answer(object: &Object) -> HttpResponse {
    json(encode_object(object))
}

/// An answer as the first versions have it: the status, once more, and what is answered.
fn with_status(body: Object) -> Value {
    Value::Array(vec![200.into(), body.into()])
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(body)
}

fn events(events: Vec<Object>) -> Value {
    Value::Array(events.into_iter().map(Value::Object).collect())
}

fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Value {
    let all = all.into_iter().map(|one| Value::String(one.to_string()));
    Value::Array(all.collect())
}

fn room_id(text: &str) -> Result<OwnedRoomId, ApiError> {
    RoomId::parse(text).map_err(|_| ApiError::invalid_param("This is not the ID of a room"))
}

fn user_id(text: &str) -> Result<OwnedUserId, ApiError> {
    UserId::parse(text).map_err(|_| ApiError::invalid_param("This is not the ID of a user"))
}

fn event_id(text: &str) -> Result<OwnedEventId, ApiError> {
    EventId::parse(text).map_err(|_| ApiError::invalid_param("This is not the ID of an event"))
}

/// The body, which must be an object.
fn body(signed: &mut Signed) -> Result<Object, ApiError> {
    match signed.content.take() {
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(ApiError::bad_json("The body is not an object")),
        None => Err(ApiError::not_json("There is no body")),
    }
}

/// A list of objects in a body; empty if it is missing.
fn objects(body: &mut Object, key: &str) -> Result<Vec<Object>, ApiError> {
    let wrong = || ApiError::bad_json(format!("{key} is not a list of objects"));
    let list = match body.remove(key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong()),
    };
    let objects = list.into_iter().map(|one| match one {
        Value::Object(object) => Ok(object),
        _ => Err(wrong()),
    });
    objects.collect()
}

/// A list of event IDs in a body; empty if it is missing.
fn event_ids(body: &Object, key: &str) -> Result<Vec<OwnedEventId>, ApiError> {
    let wrong = || ApiError::bad_json(format!("{key} is not a list of event IDs"));
    let Some(list) = body.get(key) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or_else(wrong)?;
    list.iter()
        .map(|id| id.as_str().and_then(|id| EventId::parse(id).ok()))
        .map(|id| id.ok_or_else(wrong))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use ruma::owned_server_name;
    use tokio::sync::Notify;

    use crate::x_matrix::tests::federation;

    #[tokio::test]
    async fn a_read_keeps_its_turn_when_its_server_hangs_up() {
        let federation = federation().await;
        let room = federation.engine.get_ref().clone();
        let origin = owned_server_name!("remote.example");
        let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        for _ in 0..super::turns::AT_ONCE {
            let (begins, ends) = (Arc::clone(&begun), Arc::clone(&end));
            let read = room.read(origin.clone(), |_| async move {
                let ends = ends.notified();
                begins.notify_one();
                ends.await;
                Ok(())
            });
            let mut read = Box::pin(read);
            assert!((&mut read).now_or_never().is_none());
            begun.notified().await;
        }
        let next = room.turns.take(origin.clone()).now_or_never();
        assert!(next.is_none(), "they are still worked on");
        end.notify_waiters();
        assert!(room.turns.take(origin).await.is_ok());
    }
}
