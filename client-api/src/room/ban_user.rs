//! `POST /_matrix/client/v3/rooms/{roomId}/ban`: client-server API, "Banning users in a room".

use actix_web::web;
use engine::{Engine, Target};
use ruma::api::client::membership::ban_user::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Bans a user from a room, and removes them if they are in it.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let target = Target {
        user_id: body.user_id,
        reason: body.reason,
    };
    engine
        .room(&body.room_id)
        .await?
        .ban(&requester, target)
        .await?;
    Ok(Reply(Response::new()))
}
