//! `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`: server-server API, "Retrieving event authorization
//! information".

use actix_web::{HttpResponse, web};
use spec::object;

use super::{Room, answer, event_id, events, room_id};
use crate::{ApiError, x_matrix::Signed};

/// The auth chain of an event.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let (room, id) = (room_id(&path.0)?, event_id(&path.1)?);
    let chain = engine
        .read(origin.clone(), |inbound| async move {
            inbound.event_auth(&origin, &room, &id).await
        })
        .await?;
    Ok(answer(&object! { "auth_chain" => events(chain) }))
}
