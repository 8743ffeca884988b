//! `GET /_matrix/client/v3/voip/turnServer`: client-server API, "Voice over IP".

use actix_web::web;
use engine::Engine;
use ruma::api::client::voip::get_turn_server_info::v3::Request;
use serde_json::{Value, json};

use crate::{Shared, error::ApiError, extract::Authed, guests, reply::Json, settings::TurnAccess};

/// Answers with TURN servers and what opens them; with an empty object where the operator has named none, as Synapse does.
/// Guests get an answer if the operator wants that.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let turn = shared.settings.turn.as_ref();
    if requester.guest && !turn.is_some_and(|turn| turn.for_guests) {
        return Err(guests::refusal());
    }
    let Some(turn) = turn else {
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
