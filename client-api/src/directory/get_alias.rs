//! `GET /_matrix/client/v3/directory/room/{roomAlias}`: client-server API, "Room aliases".

use actix_web::web;
use engine::Engine;
use ruma::api::client::alias::get_alias::v3::{Request, Response};

use crate::{error::ApiError, extract::Public, reply::Reply};

/// Answers with the room that an alias leads to, and the servers that are in it.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Public { body, .. }: Public<Request>,
) -> Result<Reply<Response>, ApiError> {
    let (room_id, servers) = engine.resolve_alias(&body.room_alias).await?;
    Ok(Reply(Response::new(room_id, servers)))
}
