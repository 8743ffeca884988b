//! `GET /_matrix/client/v3/pushrules/`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::get_pushrules_all::v3::Request;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with all rules. Clients ask before they begin to sync, and some do not begin without an answer.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let rules = engine.accounts().push_rules(&requester).await?;
    Ok(Json(json!({ "global": rules })))
}
