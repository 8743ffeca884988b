//! Events that are sent later: MSC4140.

use actix_web::{HttpRequest, http::StatusCode, web};
use engine::{Delay, DelayAction, Engine};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    extract::{RawAuthed, RawPublic},
    reply::Json,
};

/// Where a user sees their own.
pub(crate) const LIST: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
/// Where one is managed, by the action in the body.
pub(crate) const ONE: &str =
    "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}";
/// Where one is managed, by the action in the path.
pub(crate) const ACTION: &str =
    "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}";

#[derive(Deserialize)]
struct Query {
    #[serde(rename = "org.matrix.msc4140.delay")]
    delay: Option<i64>,
}

/// How long an event is to wait, in ms; `None`: not at all.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: it is no number.
pub(super) fn wish(request: &HttpRequest) -> Result<Option<i64>, ApiError> {
    let query = web::Query::<Query>::from_query(request.query_string());
    let query = query.map_err(|error| {
        ApiError::invalid_param(format!("A query parameter does not fit: {error}"))
    })?;
    Ok(query.delay)
}

/// Leaves an event with the server, and answers with the ID by which it is managed.
pub(super) async fn leave(
    engine: &Engine,
    requester: &engine::Requester,
    room_id: &ruma::RoomId,
    delay: Delay,
) -> Result<Json<Value>, ApiError> {
    let delay_id = engine.delay_event(requester, room_id, delay).await?;
    Ok(answer(&delay_id))
}

/// The answer to whoever has left an event with the server.
pub(super) fn answer(delay_id: &str) -> Json<Value> {
    Json(json!({ "delay_id": delay_id }))
}

/// Answers with the user's own: in today's form and in that of before.
pub(crate) async fn list(
    engine: web::Data<Engine>,
    RawAuthed { requester, .. }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let (mut scheduled, mut finalised) = (Vec::new(), Vec::new());
    for (room_id, event) in engine.delayed_events(&requester).await? {
        let content: Value = serde_json::from_str(&event.content).unwrap_or_default();
        let mut shown = json!({
            "delay_id": event.delay_id, "room_id": room_id, "type": event.event_type,
            "delay": event.delay_ms, "running_since": event.running_since_ts, "content": content,
        });
        if let Some(state_key) = event.state_key {
            shown["state_key"] = state_key.into();
        }
        let Some(finished_ts) = event.finished_ts else {
            scheduled.push(shown);
            continue;
        };
        let mut ended = json!({
            "delayed_event": shown, "outcome": event.outcome, "reason": event.reason,
            "origin_server_ts": finished_ts,
        });
        if let Some(event_id) = event.event_id {
            ended["event_id"] = event_id.into();
        }
        if let Some(error) = event.error {
            ended["error"] = json!({ "errcode": "M_UNKNOWN", "error": error });
        }
        finalised.push(ended);
    }
    Ok(Json(json!({
        "delayed_events": scheduled, "scheduled": scheduled, "finalised": finalised,
    })))
}

#[derive(Deserialize)]
struct Body {
    action: Option<String>,
}

/// Cancels, restarts or sends the one whose ID is known, by the action in the body.
pub(crate) async fn manage(
    engine: web::Data<Engine>,
    RawPublic { ask }: RawPublic,
) -> Result<Json<Value>, ApiError> {
    let delay_id: String = ask.argument(0)?;
    let body: Body = ask.json()?;
    let name = body
        .action
        .ok_or_else(|| ApiError::missing_param("\"action\" is missing in the body"))?;
    let action = DelayAction::parse(&name).ok_or_else(|| {
        ApiError::invalid_param("\"action\" in the body is \"cancel\", \"restart\" or \"send\"")
    })?;
    engine.change_delayed_event(&delay_id, action).await?;
    Ok(Json(json!({})))
}

/// The same by the action in the path.
pub(crate) async fn act(
    engine: web::Data<Engine>,
    RawPublic { ask }: RawPublic,
) -> Result<Json<Value>, ApiError> {
    let delay_id: String = ask.argument(0)?;
    let name: String = ask.argument(1)?;
    let action = DelayAction::parse(&name).ok_or_else(ApiError::unrecognized)?;
    engine.change_delayed_event(&delay_id, action).await?;
    Ok(Json(json!({})))
}

/// 400 `M_UNKNOWN` with what MSC4140 says of it.
pub(crate) fn too_long(max_ms: i64) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "M_UNKNOWN",
        format!("An event can be delayed by {max_ms} ms at most"),
    )
    .with("org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED")
    .with("org.matrix.msc4140.max_delay", max_ms)
}
