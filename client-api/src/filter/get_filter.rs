//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`: client-server API, "Filtering".

use actix_web::web;
use engine::Engine;
use ruma::api::client::filter::get_filter::v3::Request;
use serde_json::Value;

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with a filter as it was uploaded.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let filter = engine
        .accounts()
        .filter(&requester, &body.user_id, &body.filter_id)
        .await?;
    Ok(Json(filter))
}
