//! `GET /_matrix/client/v3/pushrules/global/`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::get_pushrules_global_scope::v3::Request;
use serde_json::{Map, Value};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with the rules of the only scope that there is.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let rules = engine.accounts().push_rules(&requester).await?;
    Ok(Json(rules))
}
