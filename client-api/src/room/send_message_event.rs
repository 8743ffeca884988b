//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`: client-server API, "Sending events to a room".

use actix_web::{Either, HttpRequest, web};
use engine::{Delay, Engine, Send};
use ruma::api::client::message::send_message_event::v3::{Request, Response};

use serde_json::Value;

use super::{content, delay};
use crate::{
    error::ApiError,
    extract::Authed,
    reply::{Json, Reply},
};

/// Sends an event and answers with its ID.
///
/// The type is taken from the path as it stands: ruma knows several names of some types and would exchange them.
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
    let event_type = ask.argument(1);
    let delay = delay::wish(&request)?;
    if delay.is_some() && raw.is_empty() {
        // Only to say again what was answered before: MSC4140.
        let txn_id = body.txn_id.as_str();
        let before = engine.delayed_before(requester, &body.room_id, event_type, txn_id);
        if let Some(delay_id) = before.await? {
            return Ok(Either::Right(delay::answer(&delay_id)));
        }
    }
    let send = Send {
        event_type: event_type.to_owned(),
        content: content::body(raw)?,
        txn_id: Some(body.txn_id.to_string()),
    };
    if let Some(delay_ms) = delay {
        let later = Delay {
            event_type: send.event_type,
            state_key: None,
            content: send.content,
            delay_ms,
            txn_id: send.txn_id,
        };
        return Ok(Either::Right(
            delay::leave(&engine, requester, &body.room_id, later).await?,
        ));
    }
    let event_id = engine
        .room(&body.room_id)
        .await?
        .send(requester, send)
        .await?;
    Ok(Either::Left(Reply(Response::new(event_id))))
}
