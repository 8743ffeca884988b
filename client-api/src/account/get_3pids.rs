//! `GET /_matrix/client/v3/account/3pid`: client-server API, "Adding Account Administrative Contact Information".

use actix_web::web;
use engine::Engine;
use ruma::api::client::account::get_3pids::v3::Request;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with the e-mail addresses that the administrator has noted as the user's. Clients look for the list also where there
/// is none.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let emails = engine.accounts().emails(&requester.user_id).await?;
    let shown = emails.into_iter().map(|email| {
        json!({
            "medium": "email",
            "address": email.address,
            // Whoever notes it vouches for it.
            "validated_at": email.added_ts,
            "added_at": email.added_ts,
        })
    });
    Ok(Json(json!({ "threepids": shown.collect::<Vec<_>>() })))
}
