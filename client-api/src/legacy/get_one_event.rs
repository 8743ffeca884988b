//! `GET /_matrix/client/v3/events/{eventId}`: client-server API, deprecated.

use actix_web::web;
use engine::Engine;
use ruma::{OwnedEventId, events::AnyTimelineEvent, serde::Raw};

use crate::{error::ApiError, extract::RawAuthed, reply::Json};

/// Where it is, today and before 2021.
pub(crate) const PATHS: [&str; 2] = [
    "/_matrix/client/v3/events/{event_id}",
    "/_matrix/client/r0/events/{event_id}",
];

/// Answers with one event of whatever room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Raw<AnyTimelineEvent>>, ApiError> {
    let event_id: OwnedEventId = ask.argument(0)?;
    Ok(Json(engine.event_anywhere(&requester, &event_id).await?))
}
