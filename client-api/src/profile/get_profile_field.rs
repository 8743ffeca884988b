//! `GET /_matrix/client/v3/profile/{userId}/{keyName}`: client-server API, "Profiles".

use actix_web::web;
use engine::Engine;
use ruma::api::client::profile::get_profile_field::v3::Request;
use serde_json::{Map, Value};

use crate::{error::ApiError, extract::MaybeAuthed, reply::Json};

/// Answers with one field of a profile, to anybody.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    MaybeAuthed { body, .. }: MaybeAuthed<Request>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let field = body.field.to_string();
    let value = engine.profile_field(&body.user_id, &field).await?;
    Ok(Json(Map::from_iter([(field, value)])))
}
