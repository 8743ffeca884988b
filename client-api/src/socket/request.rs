//! The methods of the protocol as calls to the engine: the same calls that the HTTP handlers make.

use actix_web::web;
use engine::{Backwards, Engine, Redact, Send, SetState};
use serde_json::{Value, json};
use spec::json::Object;

use super::frame::Ask;
use crate::{
    Shared,
    error::ApiError,
    limits::Class,
    presence::set_presence,
    room::{content, create_receipt},
};

/// Carries out one request and returns the `result` of its answer.
///
/// # Errors
/// What the HTTP endpoint would answer.
pub(super) async fn perform(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    token: String,
    id: Option<String>,
    ask: Ask,
) -> Result<Value, ApiError> {
    // As with every request: the token may have been revoked since the last one.
    let by = &engine.authenticate(&token).await?;
    shared
        .limits
        .take_for_user(class(&ask), &by.user_id)
        .map_err(ApiError::limit_exceeded)?;
    match ask {
        Ask::Ping => return Ok(json!({})),
        // The connection answers these itself.
        Ask::Ack(_) | Ask::Sync(_) => return Err(ApiError::failure()),
        Ask::Send(ask) => {
            let content = content::object(ask.content.get())?;
            let send = Send {
                event_type: ask.event_type,
                content,
                txn_id: id,
            };
            let event_id = engine.room(&ask.room_id).await?.send(by, send).await?;
            return Ok(json!({ "event_id": event_id }));
        }
        Ask::State(ask) => {
            let content = content::object(ask.content.get())?;
            let (event_type, state_key) = (ask.event_type, ask.state_key);
            let set = SetState {
                event_type,
                state_key,
                content,
            };
            let event_id = engine.set_state(by, &ask.room_id, set).await?;
            return Ok(json!({ "event_id": event_id }));
        }
        Ask::Redact(ask) => {
            let reason = ask
                .reason
                .map(|reason| ("reason".to_owned(), reason.as_str().into()));
            let content = Object::from_iter(reason);
            let redact = Redact {
                event_id: ask.event_id,
                content,
                txn_id: id,
            };
            let event_id = engine.room(&ask.room_id).await?.redact(by, redact).await?;
            return Ok(json!({ "event_id": event_id }));
        }
        Ask::Typing(ask) => {
            engine
                .room(&ask.room_id)
                .await?
                .set_typing(by, ask.timeout())
                .await?;
        }
        Ask::Receipt(ask) => {
            let thread = create_receipt::thread(ask.thread_id)?;
            let room = engine.room(&ask.room_id).await?;
            let (kind, backwards) = (&*ask.receipt_type, Backwards::allowed(ask.allow_backward));
            create_receipt::take(&room, by, kind, ask.event_id, thread, backwards).await?;
        }
        Ask::Presence(ask) => {
            let state = set_presence::parse(&ask.presence)?;
            engine.set_presence(by, state, ask.status_msg)?;
        }
        Ask::ReadMarkers(ask) => {
            let room = engine.room(&ask.room_id).await?;
            room.set_read_markers(
                by,
                ask.fully_read,
                ask.read,
                ask.read_private,
                Backwards::allowed(ask.allow_backward),
            )
            .await?;
        }
    }
    Ok(json!({}))
}

/// What a request costs against: the same as over HTTP.
fn class(ask: &Ask) -> Class {
    match ask {
        Ask::Presence(_) => Class::Requests,
        _ => Class::Sends,
    }
}
