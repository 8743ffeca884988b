//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: client-server API, "Sending events to a room".

use actix_web::{Either, HttpRequest, web};
use engine::{Delay, Engine, SetState};
use ruma::api::client::state::send_state_event::v3::{Request, Response};

use serde_json::Value;

use super::{content, delay};
use crate::{
    error::ApiError,
    extract::Authed,
    reply::{Json, Reply},
};

/// Sets a piece of state and answers with the ID of its event. Without a state key in the path it is empty.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    request: HttpRequest,
    ask: Authed<Request>,
) -> Result<Either<Reply<Response>, Json<Value>>, ApiError> {
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
    if let Some(delay_ms) = delay::wish(&request)? {
        let later = Delay {
            event_type: set.event_type,
            state_key: Some(set.state_key),
            content: set.content,
            delay_ms,
            txn_id: None,
        };
        return Ok(Either::Right(
            delay::leave(&engine, requester, &body.room_id, later).await?,
        ));
    }
    let event_id = engine.set_state(requester, &body.room_id, set).await?;
    Ok(Either::Left(Reply(Response::new(event_id))))
}
