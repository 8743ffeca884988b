//! `GET /_synapse/admin/v1/register`: Synapse, "Shared-secret registration".

use actix_web::web;
use engine::Engine;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::RawPublic, reply::Json};

/// Answers with the nonce for one registration.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    _ask: RawPublic,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "nonce": engine.accounts().nonce()? })))
}
