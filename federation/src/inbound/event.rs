//! `GET /_matrix/federation/v1/event/{eventId}`: server-server API, "Retrieving events".

use actix_web::{HttpResponse, web};
use spec::object;

use super::{Room, answer, event_id, events};
use crate::{ApiError, Shared, x_matrix::Signed};

/// One event, in the form of a transaction.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    path: web::Path<String>,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let id = event_id(&path)?;
    let event = engine
        .read(origin.clone(), |inbound| async move {
            inbound.event(&origin, &id).await
        })
        .await?;
    Ok(answer(&object! {
        "origin" => shared.server_name().as_str(),
        "origin_server_ts" => shared.clock.now_ms(),
        "pdus" => events(vec![event]),
    }))
}
