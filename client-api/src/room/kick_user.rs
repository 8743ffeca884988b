//! `POST /_matrix/client/v3/rooms/{roomId}/kick`: client-server API, "Leaving rooms".

use actix_web::web;
use engine::{Engine, Target};
use ruma::api::client::membership::kick_user::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Removes a user from a room.
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
        .kick(&requester, target)
        .await?;
    Ok(Reply(Response::new()))
}
