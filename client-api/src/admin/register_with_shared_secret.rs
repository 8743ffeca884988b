//! `POST /_synapse/admin/v1/register`: Synapse, "Shared-secret registration".

use actix_web::web;
use engine::{
    Engine,
    account::{DeviceWish, SharedSecretAsk},
};
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::RawPublic, reply::Json};

#[derive(Deserialize)]
struct Body {
    nonce: Option<String>,
    username: Option<String>,
    password: Option<String>,
    mac: Option<String>,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    displayname: Option<String>,
    #[serde(default)]
    inhibit_login: bool,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

/// Makes an account for whoever knows the shared secret.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    RawPublic { ask, .. }: RawPublic,
) -> Result<Json<Value>, ApiError> {
    let body: Body = ask.json()?;
    let given = |value: Option<String>, name: &str| {
        value.ok_or_else(|| ApiError::bad_json(format!("\"{name}\" is missing in the body")))
    };
    let ask = SharedSecretAsk {
        nonce: given(body.nonce, "nonce")?,
        username: given(body.username, "username")?,
        password: given(body.password, "password")?.into(),
        mac: given(body.mac, "mac")?,
        admin: body.admin,
        user_type: body.user_type,
        displayname: body.displayname,
        inhibit_login: body.inhibit_login,
        device: DeviceWish {
            device_id: body.device_id,
            display_name: body.initial_device_display_name,
            refreshable: body.refresh_token,
        },
    };
    let registered = engine.accounts().register_with_shared_secret(ask).await?;
    let home_server = registered.user_id.server_name().to_owned();
    let mut answer = json!({ "user_id": registered.user_id, "home_server": home_server });
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
    Ok(Json(answer))
}
