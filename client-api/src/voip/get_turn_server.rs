//! `GET /_matrix/client/v3/voip/turnServer`: client-server API, "Voice over IP".

use actix_web::web;
use engine::Engine;
use ruma::api::client::voip::get_turn_server_info::v3::Request;
use serde_json::{Value, json};

use crate::{Shared, error::ApiError, extract::Authed, reply::Json, settings::TurnAccess};

/// Answers with TURN servers and what opens them; with an empty object where the operator has named none, as Synapse does.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let Some(turn) = &shared.settings.turn else {
        return Ok(Json(json!({})));
    };
    let (username, password) = match &turn.access {
        TurnAccess::Shared { secret } => {
            let made = engine.turn_credentials(&requester, secret, turn.lifetime_s);
            (made.username, made.password)
        }
        TurnAccess::Fixed { username, password } => (username.clone(), password.clone()),
    };
    Ok(Json(json!({
        "uris": turn.uris, "ttl": turn.lifetime_s, "username": username, "password": password,
    })))
}
