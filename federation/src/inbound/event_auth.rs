//! `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`: server-server API, "Retrieving event authorization
//! information".

use actix_web::{HttpResponse, web};
use spec::{json::encode_object, object};

use super::{Room, event_id, events, json, room_id};
use crate::{ApiError, x_matrix::Signed};

/// The auth chain of an event.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let (room, id) = (room_id(&path.0)?, event_id(&path.1)?);
    let answer = engine
        .read(origin.clone(), |inbound| async move {
            let chain = inbound.event_auth(&origin, &room, &id).await?;
            Ok(encode_object(&object! { "auth_chain" => events(chain) }))
        })
        .await?;
    Ok(json(answer))
}
