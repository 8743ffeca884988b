//! `PUT /_matrix/client/v3/directory/room/{roomAlias}`: client-server API, "Room aliases".

use actix_web::web;
use engine::Engine;
use ruma::api::client::alias::create_alias::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Makes an alias for a room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine
        .create_alias(&requester, &body.room_alias, &body.room_id)
        .await?;
    Ok(Reply(Response::new()))
}
