//! `GET /_matrix/client/unstable/org.rookery.webpush/key`: `spec/api/extensions/web-push.yaml`.

use actix_web::web;
use engine::Engine;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::RawAuthed, reply::Json};

/// The path. Not in the specification.
pub(crate) const PATH: &str = "/_matrix/client/unstable/org.rookery.webpush/key";

/// Answers with the key that a browser subscribes with.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    _ask: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let key = engine.web_push_key().await?;
    Ok(Json(json!({ "public_key": key })))
}
