//! `GET /_matrix/federation/v1/query/directory`: server-server API, "Querying for information".

use actix_web::{HttpResponse, web};
use ruma::RoomAliasId;
use spec::object;

use super::{Room, answer, texts};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// Where an alias of this server leads.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    params: Params,
    _: Signed,
) -> Result<HttpResponse, ApiError> {
    let alias = RoomAliasId::parse(params.required("room_alias")?)
        .map_err(|_| ApiError::invalid_param("This is not an alias"))?;
    let (room, servers) = engine
        .ask(|inbound| async move { inbound.directory(&alias).await })
        .await?;
    Ok(answer(
        &object! { "room_id" => room.as_str(), "servers" => texts(servers) },
    ))
}
