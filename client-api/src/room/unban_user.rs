//! `POST /_matrix/client/v3/rooms/{roomId}/unban`: client-server API, "Banning users in a room".

use actix_web::web;
use engine::{Engine, Target};
use ruma::api::client::membership::unban_user::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Lifts a ban.
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
        .unban(&requester, target)
        .await?;
    Ok(Reply(Response::new()))
}
