//! `GET /_matrix/federation/v1/state/{roomId}`: server-server API, "Retrieving events".

use actix_web::{HttpResponse, web};
use spec::{json::encode_object, object};

use super::{Room, event_id, events, json, room_id};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// The state before an event, and its auth chain.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    path: web::Path<String>,
    params: Params,
    Signed { origin, .. }: Signed,
) -> Result<HttpResponse, ApiError> {
    let room = room_id(&path)?;
    let id = event_id(params.required("event_id")?)?;
    let answer = engine
        .read(origin.clone(), |inbound| async move {
            let (state, chain) = inbound.state(&origin, &room, &id).await?;
            let answer = object! { "pdus" => events(state), "auth_chain" => events(chain) };
            Ok(encode_object(&answer))
        })
        .await?;
    Ok(json(answer))
}
