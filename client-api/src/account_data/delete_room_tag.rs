//! `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`: client-server API, "Room tagging".

use actix_web::web;
use engine::Engine;
use ruma::api::client::tag::delete_tag::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Takes a tag off a room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let place = (&*body.user_id, &*body.room_id);
    engine
        .accounts()
        .delete_tag(&requester, place, &body.tag)
        .await?;
    Ok(Reply(Response::new()))
}
