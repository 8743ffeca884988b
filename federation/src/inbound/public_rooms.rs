//! `GET` and `POST /_matrix/federation/v1/publicRooms`: server-server API, "Public Room Directory".

use actix_web::{HttpResponse, web};
use engine::PublicRoomsAsk;
use ruma::directory::RoomNetwork;
use spec::json::encode_object;

use super::{Room, body};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// A page of the public rooms of this server.
pub(crate) async fn get(
    engine: web::Data<Room>,
    params: Params,
    _: Signed,
) -> Result<HttpResponse, ApiError> {
    let negative = || ApiError::invalid_param("limit is negative");
    let limit = params.integer("limit")?.map(u64::try_from).transpose();
    let network = match params.one("third_party_instance_id") {
        Some(network) => RoomNetwork::ThirdParty(network.to_owned()),
        None => RoomNetwork::Matrix,
    };
    let ask = PublicRoomsAsk {
        limit: limit.map_err(|_| negative())?,
        since: params.one("since").map(str::to_owned),
        filter: None,
        network,
    };
    page(&engine, ask).await
}

/// The same, of rooms that a filter chooses.
pub(crate) async fn post(
    engine: web::Data<Room>,
    mut signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let body = encode_object(&body(&mut signed)?);
    let ask = serde_json::from_str(&body);
    let ask = ask.map_err(|error| ApiError::bad_json(format!("The body does not fit: {error}")))?;
    page(&engine, ask).await
}

async fn page(engine: &Room, ask: PublicRoomsAsk) -> Result<HttpResponse, ApiError> {
    let page = engine.ask(|inbound| async move { inbound.public_rooms(&ask).await });
    Ok(HttpResponse::Ok().json(page.await?))
}
