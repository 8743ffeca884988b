//! `GET /_matrix/client/v3/directory/list/room/{roomId}`: client-server API, "Published room directory".

use actix_web::web;
use engine::Engine;
use ruma::api::client::{
    directory::get_room_visibility::v3::{Request, Response},
    room::Visibility,
};

use crate::{error::ApiError, extract::Public, reply::Reply};

/// Answers whether the directory lists a room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Public { body, .. }: Public<Request>,
) -> Result<Reply<Response>, ApiError> {
    let published = engine.room(&body.room_id).await?.is_published().await?;
    let visibility = if published {
        Visibility::Public
    } else {
        Visibility::Private
    };
    Ok(Reply(Response::new(visibility)))
}
