//! `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`: server-server API, "Retrieving events".

use actix_web::{HttpResponse, web};
use engine::Direction;
use spec::object;

use super::{Room, answer, room_id};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// The event nearest to a time, in one direction.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    path: web::Path<String>,
    params: Params,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let room = room_id(&path)?;
    params.required("ts")?;
    let ts = params.integer("ts")?.unwrap_or_default();
    let direction = match params.required("dir")? {
        "b" => Direction::Backward,
        "f" => Direction::Forward,
        _ => return Err(ApiError::invalid_param("dir is neither f nor b")),
    };
    let (event_id, at) = engine
        .read(origin.clone(), |inbound| async move {
            inbound.event_near(&origin, &room, ts, direction).await
        })
        .await?;
    Ok(answer(
        &object! { "event_id" => event_id.as_str(), "origin_server_ts" => at },
    ))
}
