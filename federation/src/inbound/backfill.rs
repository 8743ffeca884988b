//! `GET /_matrix/federation/v1/backfill/{roomId}`: server-server API, "Backfilling and retrieving missing events".

use actix_web::{HttpResponse, web};
use spec::object;

use super::{Room, answer, event_id, events, room_id};
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
    let found = engine
        .read(origin.clone(), |inbound| async move {
            inbound.backfill(&origin, &room, &from, limit).await
        })
        .await?;
    Ok(answer(&object! {
        "origin" => shared.server_name().as_str(),
        "origin_server_ts" => shared.clock.now_ms(),
        "pdus" => events(found),
    }))
}
