//! `GET /_matrix/federation/v1/state_ids/{roomId}`: server-server API, "Retrieving events".

use actix_web::{HttpResponse, web};
use spec::object;

use super::{Room, answer, event_id, room_id, texts};
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
    let (state, chain) = engine
        .read(origin.clone(), |inbound| async move {
            inbound.state_ids(&origin, &room, &id).await
        })
        .await?;
    Ok(answer(
        &object! { "pdu_ids" => texts(state), "auth_chain_ids" => texts(chain) },
    ))
}
