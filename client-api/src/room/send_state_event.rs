//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: client-server API, "Sending events to a room".

use actix_web::web;
use engine::{Engine, SetState};
use ruma::api::client::state::send_state_event::v3::{Request, Response};

use super::content;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Sets a piece of state and answers with the ID of its event. Without a state key in the path it is empty.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    ask: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let Authed {
        requester,
        body,
        raw,
        ..
    } = &ask;
    let set = SetState {
        event_type: ask.argument(1).to_owned(),
        state_key: body.state_key.clone(),
        content: content::body(raw)?,
    };
    let event_id = engine
        .room(&body.room_id)
        .await?
        .set_state(requester, set)
        .await?;
    Ok(Reply(Response::new(event_id)))
}
