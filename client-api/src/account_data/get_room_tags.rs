//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`: client-server API, "Room tagging".

use actix_web::web;
use engine::Engine;
use ruma::api::client::tag::get_tags::v3::Request;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with the tags of a room, with all that clients have put into them.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let tags = engine
        .accounts()
        .tags(&requester, &body.user_id, &body.room_id)
        .await?;
    Ok(Json(json!({ "tags": tags })))
}
