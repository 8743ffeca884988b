//! `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: client-server API, "Getting events for a room".

use actix_web::web;
use engine::Engine;
use ruma::api::client::state::get_state_event_for_key::v3::{Request, Response, StateEventFormat};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{error::ApiError, extract::Authed, reply::Reply};

#[derive(Deserialize)]
struct Event {
    content: Box<RawValue>,
}

/// Answers with the content of one state event, or with `?format=event` with all of it.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    ask: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let Authed {
        requester, body, ..
    } = &ask;
    let room = engine.room_to_read(&body.room_id).await?;
    let event = room
        .state_event(requester, ask.argument(1), &body.state_key)
        .await?;
    match &body.format {
        StateEventFormat::Event => Ok(Reply(event.into())),
        StateEventFormat::Content => {
            let Event { content } = event
                .deserialize_as_unchecked()
                .map_err(|cause| ApiError::internal(&cause))?;
            Ok(Reply(Response::new(content)))
        }
        other => Err(ApiError::invalid_param(format!(
            "The query parameter \"format\" is \"content\" or \"event\", not \"{}\"",
            other.as_str()
        ))),
    }
}
