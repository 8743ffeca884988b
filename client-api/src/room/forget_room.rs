//! `POST /_matrix/client/v3/rooms/{roomId}/forget`: client-server API, "Leaving rooms".

use actix_web::web;
use engine::Engine;
use ruma::api::client::membership::forget_room::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Takes a room that the user has left out of their sight.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine.room(&body.room_id).await?.forget(&requester).await?;
    Ok(Reply(Response::new()))
}
