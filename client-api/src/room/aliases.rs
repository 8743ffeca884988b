//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`: client-server API, "Room aliases".

use actix_web::web;
use engine::Engine;
use ruma::api::client::room::aliases::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the aliases that this server keeps for a room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let aliases = engine
        .room(&body.room_id)
        .await?
        .aliases(&requester)
        .await?;
    Ok(Reply(Response::new(aliases)))
}
