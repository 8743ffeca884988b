//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`: client-server API, "Event context".

use actix_web::{HttpRequest, web};
use engine::{ContextAsk, Engine};
use ruma::api::client::context::get_context::v3::Request;
use serde_json::{Value, json};

use super::{limit, relation_filter};
use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with an event, what stands around it, and the state there.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    request: HttpRequest,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let ask = ContextAsk {
        event_id: body.event_id,
        limit: limit(body.limit),
        filter: body.filter,
        relations: relation_filter(&request)?,
    };
    let context = engine
        .room(&body.room_id)
        .await?
        .context(&requester, ask)
        .await?;
    // ruma's own type leaves empty lists out, on which matrix-js-sdk relies.
    Ok(Json(json!({
        "start": context.start,
        "end": context.end,
        "events_before": context.events_before,
        "event": context.event,
        "events_after": context.events_after,
        "state": context.state,
    })))
}
