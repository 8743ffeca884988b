//! `POST /_matrix/client/v3/register`: client-server API, "Legacy account registration".

use actix_web::web;
use engine::{
    Engine,
    account::{DeviceWish, RegisterAsk, Registered},
};
use ruma::{OwnedDeviceId, api::client::account::register::v3::Request};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    extract::{RawPublic, Typeless},
    interactive::Auth,
    reply::Json,
};

#[derive(Deserialize)]
struct Query {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    auth: Option<Auth>,
    username: Option<String>,
    password: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    inhibit_login: bool,
    #[serde(default)]
    refresh_token: bool,
    guest_access_token: Option<String>,
    #[serde(rename = "type")]
    login_type: Option<String>,
}

/// Registers an account; 401 with what is left to do as long as authentication is not complete.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawPublic>,
) -> Result<Json<Value>, ApiError> {
    let query: Query = asked.ask.query()?;
    let body: Body = asked.ask.json()?;
    if body.login_type.as_deref() == Some("m.login.application_service") {
        return Err(ApiError::forbidden(
            "This server has no application services",
        ));
    }
    let guest = match query.kind.as_deref() {
        None | Some("user") => false,
        Some("guest") => true,
        Some(_) => return Err(ApiError::invalid_param("\"kind\" is \"user\" or \"guest\"")),
    };
    let ask = RegisterAsk {
        username: body.username,
        password: body.password.map(Into::into),
        inhibit_login: body.inhibit_login,
        device: DeviceWish {
            device_id: body.device_id,
            display_name: body.initial_device_display_name,
            refreshable: body.refresh_token,
        },
        guest,
        guest_access_token: body.guest_access_token.map(Into::into),
        attempt: body.auth.map(Into::into),
    };
    let registered = engine.accounts().register(ask).await?;
    Ok(Json(response(registered)))
}

/// The body. ruma's own type would say `"device_id": null` where there is no session.
fn response(registered: Registered) -> Value {
    let mut answer = json!({ "user_id": registered.user_id });
    if let Some(login) = registered.login {
        answer["access_token"] = login.access_token.into_inner().into();
        answer["device_id"] = login.device_id.to_string().into();
        if let Some(refresh_token) = login.refresh_token {
            answer["refresh_token"] = refresh_token.into_inner().into();
        }
        if let Some(expires_in_ms) = login.expires_in_ms {
            answer["expires_in_ms"] = expires_in_ms.into();
        }
    }
    answer
}
