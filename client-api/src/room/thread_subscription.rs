//! `/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{threadRoot}/subscription`: MSC4306.

use actix_web::{http::StatusCode, web};
use engine::Engine;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    extract::{RawAuthed, Untyped},
    reply::Json,
};

/// Where it is.
pub(crate) const PATH: &str =
    "/_matrix/client/unstable/io.element.msc4306/rooms/{room_id}/thread/{thread_root}/subscription";

fn place(ask: &Untyped) -> Result<(OwnedRoomId, OwnedEventId), ApiError> {
    Ok((ask.argument(0)?, ask.argument(1)?))
}

/// Answers whether the user follows the thread, with 404 if not.
pub(crate) async fn get(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let (room_id, root) = place(&ask)?;
    let automatic = engine
        .is_thread_automatic(&requester, &room_id, &root)
        .await?;
    Ok(Json(json!({ "automatic": automatic })))
}

#[derive(Deserialize)]
struct Body {
    automatic: Option<OwnedEventId>,
}

/// Follows the thread: because the user wishes it, or because of an event in it.
pub(crate) async fn put(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let (room_id, root) = place(&ask)?;
    let body: Body = ask.json()?;
    let cause = body.automatic.as_deref();
    engine
        .subscribe_thread(&requester, &room_id, &root, cause)
        .await?;
    Ok(Json(json!({})))
}

/// Follows the thread no more.
pub(crate) async fn delete(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let (room_id, root) = place(&ask)?;
    engine
        .unsubscribe_thread(&requester, &room_id, &root)
        .await?;
    Ok(Json(json!({})))
}

/// 400: the event for whose sake the thread was to be followed is not in it.
pub(crate) fn not_in_thread() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD",
        "The event is not in that thread",
    )
}

/// 409: the user has stopped to follow the thread since.
pub(crate) fn unsubscribed() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION",
        "You have unsubscribed from the thread since that event",
    )
}
