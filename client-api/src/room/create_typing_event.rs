//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`: client-server API, "Typing Notifications".

use std::time::Duration;

use actix_web::web;
use engine::Engine;
use ruma::api::client::typing::create_typing_event::v3::{Request, Response, Typing};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Says that the user is typing, or no longer is.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    if body.user_id != requester.user_id {
        return Err(ApiError::forbidden(
            "You can only say of yourself that you are typing",
        ));
    }
    let timeout: Option<Duration> = match body.state {
        Typing::Yes(info) => Some(info.timeout),
        Typing::No => None,
    };
    engine
        .room(&body.room_id)
        .await?
        .set_typing(&requester, timeout)
        .await?;
    Ok(Reply(Response::new()))
}
