//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`: client-server API, "Fully read markers".

use actix_web::web;
use engine::Engine;
use ruma::api::client::read_marker::set_read_marker::v3::{Request, Response};

use super::create_receipt::backwards;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Moves the fully-read marker and, in the same step, the receipts.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let room = engine.room(&body.room_id).await?;
    room.set_read_markers(
        &requester,
        body.fully_read,
        body.read_receipt,
        body.private_read_receipt,
        backwards(&raw)?,
    )
    .await?;
    Ok(Reply(Response::new()))
}
