//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`: client-server API, "Room tagging".

use actix_web::web;
use engine::Engine;
use ruma::api::client::tag::create_tag::v3::{Request, Response};
use serde_json::{Map, Value};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Tags a room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    // As it came: ruma keeps only `order`.
    let info: Map<String, Value> = match raw.is_empty() {
        true => Map::new(),
        false => serde_json::from_slice(&raw).map_err(|_| ApiError::bad_json("No object"))?,
    };
    let place = (&*body.user_id, &*body.room_id);
    engine
        .accounts()
        .set_tag(&requester, place, &body.tag, info.into())
        .await?;
    Ok(Reply(Response::new()))
}
