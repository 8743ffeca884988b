//! `GET /_matrix/federation/v1/backfill/{roomId}`: server-server API, "Backfilling and retrieving missing events".

use actix_web::{HttpResponse, web};
use spec::{json::encode_object, object};

use super::{Room, event_id, events, json, room_id};
use crate::{ApiError, Shared, params::Params, x_matrix::Signed};

/// How many events are given where nobody says.
const LIMIT: i64 = 10;

/// From how many events one request may go back.
const FROM_MAX: usize = 100;

/// Events before some, and these.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    path: web::Path<String>,
    params: Params,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let room = room_id(&path)?;
    let from: Vec<_> = params
        .all("v")
        .take(FROM_MAX)
        .map(event_id)
        .collect::<Result<_, _>>()?;
    if from.is_empty() {
        return Err(ApiError::missing_param("v is missing: where to start from"));
    }
    let limit = params.integer("limit")?.unwrap_or(LIMIT);
    let limit = usize::try_from(limit).map_err(|_| ApiError::invalid_param("limit is negative"))?;
    let own = shared.server_name().to_string();
    let now_ms = shared.clock.now_ms();
    let answer = engine
        .read(origin.clone(), |inbound| async move {
            let found = inbound.backfill(&origin, &room, &from, limit).await?;
            Ok(encode_object(&object! {
                "origin" => own,
                "origin_server_ts" => now_ms,
                "pdus" => events(found),
            }))
        })
        .await?;
    Ok(json(answer))
}
