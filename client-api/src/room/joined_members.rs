//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`: client-server API, "Getting events for a room".

use actix_web::web;
use engine::Engine;
use ruma::api::client::membership::joined_members::v3::Request;
use serde_json::{Map, Value, json};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with who is joined, and their profiles in the room; both keys always, null where unset.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let members = engine
        .room_to_read(&body.room_id)
        .await?
        .joined_members(&requester)
        .await?;
    let joined: Map<String, Value> = members
        .into_iter()
        .map(|member| {
            let profile = json!({
                "display_name": member.displayname,
                "avatar_url": member.avatar_url,
            });
            (member.user_id.to_string(), profile)
        })
        .collect();
    Ok(Json(json!({ "joined": joined })))
}
