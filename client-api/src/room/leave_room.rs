//! `POST /_matrix/client/v3/rooms/{roomId}/leave`: client-server API, "Leaving rooms".

use actix_web::web;
use engine::Engine;
use ruma::api::client::membership::leave_room::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Leaves a room, or rejects an invite to it.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine
        .room(&body.room_id)
        .await?
        .leave(&requester, body.reason)
        .await?;
    Ok(Reply(Response::new()))
}
