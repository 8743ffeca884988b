//! `GET /_matrix/client/v3/rooms/{roomId}/state`: client-server API, "Getting events for a room".

use actix_web::web;
use engine::Engine;
use ruma::api::client::state::get_state_events::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the whole state: as it is for members, as they left it for those who left.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let state = engine
        .room_to_read(&body.room_id)
        .await?
        .state(&requester)
        .await?;
    Ok(Reply(Response::new(state)))
}
