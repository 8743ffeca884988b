//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`: client-server API, "Sending events to a room".

use actix_web::web;
use engine::{Engine, Send};
use ruma::api::client::message::send_message_event::v3::{Request, Response};

use super::content;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Sends an event and answers with its ID.
///
/// The type is taken from the path as it stands: ruma knows several names of some types and would exchange them.
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
    let send = Send {
        event_type: ask.argument(1).to_owned(),
        content: content::body(raw)?,
        txn_id: Some(body.txn_id.to_string()),
    };
    let event_id = engine
        .room(&body.room_id)
        .await?
        .send(requester, send)
        .await?;
    Ok(Reply(Response::new(event_id)))
}
