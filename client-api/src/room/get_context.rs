//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`: client-server API, "Event context".

use actix_web::web;
use engine::{ContextAsk, Engine};
use ruma::api::client::context::get_context::v3::{Request, Response};

use super::limit;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with an event, what stands around it, and the state there.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let ask = ContextAsk {
        event_id: body.event_id,
        limit: limit(body.limit),
        filter: body.filter,
    };
    let context = engine
        .room(&body.room_id)
        .await?
        .context(&requester, ask)
        .await?;
    let mut response = Response::new();
    response.start = Some(context.start);
    response.end = Some(context.end);
    response.events_before = context.events_before;
    response.event = Some(context.event);
    response.events_after = context.events_after;
    response.state = context.state;
    Ok(Reply(response))
}
