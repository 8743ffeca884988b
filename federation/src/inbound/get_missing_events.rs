//! `POST /_matrix/federation/v1/get_missing_events/{roomId}`: server-server API, "Backfilling and retrieving missing
//! events".

use actix_web::{HttpResponse, web};
use spec::{json::encode_object, object};

use super::{Room, body, event_ids, events, json, room_id};
use crate::{ApiError, x_matrix::Signed};

/// How many events are given where nobody says.
const LIMIT: i64 = 10;

/// The most events on either side of the gap.
const IDS_MAX: usize = 100;

/// Events between some and others.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    path: web::Path<String>,
    mut signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let room = room_id(&path)?;
    let body = body(&mut signed)?;
    let origin = signed.origin;
    let mut earliest = event_ids(&body, "earliest_events")?;
    let mut latest = event_ids(&body, "latest_events")?;
    earliest.truncate(IDS_MAX);
    latest.truncate(IDS_MAX);
    let integer = |key: &str, default| match body.get(key) {
        None => Ok(default),
        Some(value) => value
            .as_i64()
            .ok_or_else(|| ApiError::bad_json(format!("{key} is not an integer"))),
    };
    let min_depth = integer("min_depth", 0)?;
    let limit = usize::try_from(integer("limit", LIMIT)?)
        .map_err(|_| ApiError::invalid_param("limit is negative"))?;
    let answer = engine
        .read(origin.clone(), |inbound| async move {
            let found = inbound
                .missing_events(&origin, &room, &earliest, &latest, limit, min_depth)
                .await?;
            Ok(encode_object(&object! { "events" => events(found) }))
        })
        .await?;
    Ok(json(answer))
}
