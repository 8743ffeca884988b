//! `GET /_matrix/federation/v1/state_ids/{roomId}`: server-server API, "Retrieving events".

use actix_web::{HttpResponse, web};
use spec::{json::encode_object, object};

use super::{Room, event_id, json, room_id, texts};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// The IDs of the state before an event, and of its auth chain.
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
            let (state, chain) = inbound.state_ids(&origin, &room, &id).await?;
            let answer = object! { "pdu_ids" => texts(state), "auth_chain_ids" => texts(chain) };
            Ok(encode_object(&answer))
        })
        .await?;
    Ok(json(answer))
}
