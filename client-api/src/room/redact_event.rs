//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`: client-server API, "Redactions".

use actix_web::web;
use engine::{Engine, Redact};
use ruma::api::client::redact::redact_event::v3::{Request, Response};

use super::content;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Redacts one event and answers with the ID of the redaction. Other keys than `reason` are kept in its content.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let content = if raw.is_empty() {
        Default::default()
    } else {
        content::body(&raw)?
    };
    let ask = Redact {
        event_id: body.event_id,
        content,
        txn_id: Some(body.txn_id.to_string()),
    };
    let event_id = engine
        .room(&body.room_id)
        .await?
        .redact(&requester, ask)
        .await?;
    Ok(Reply(Response::new(event_id)))
}
