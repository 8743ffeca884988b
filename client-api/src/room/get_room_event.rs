//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`: client-server API, "Getting events for a room".

use actix_web::web;
use engine::Engine;
use ruma::api::client::room::get_room_event::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with one event, if the asker may see it; otherwise it does not exist.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let event = engine
        .room(&body.room_id)
        .await?
        .event(&requester, &body.event_id)
        .await?;
    Ok(Reply(Response::new(event)))
}
