//! `POST /_matrix/client/v3/login`: client-server API, "Legacy login".

use std::time::Duration;

use actix_web::web;
use engine::{
    Engine,
    account::{Credentials, DeviceWish, Login, LoginAsk},
};
use ruma::{
    OwnedDeviceId,
    api::client::session::login::v3::{Request, Response},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{RawPublic, Typeless},
    interactive::Identifier,
    reply::Reply,
};

/// The body. ruma's own type panics if `type` is missing, and does without the older way to name the user.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    login_type: Option<String>,
    identifier: Option<Identifier>,
    /// Before there were identifiers: the user id or localpart.
    user: Option<String>,
    password: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

/// Logs in, and answers with the tokens of the new session.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawPublic>,
) -> Result<Reply<Response>, ApiError> {
    let body: Body = asked.ask.json()?;
    let ask = LoginAsk {
        credentials: credentials(body.login_type, body.identifier, body.user, body.password)?,
        device: DeviceWish {
            device_id: body.device_id,
            display_name: body.initial_device_display_name,
            refreshable: body.refresh_token,
        },
    };
    let login = engine.accounts().log_in(ask).await?;
    Ok(Reply(response(login)))
}

fn credentials(
    login_type: Option<String>,
    identifier: Option<Identifier>,
    user: Option<String>,
    password: Option<String>,
) -> Result<Credentials, ApiError> {
    let missing = |name| ApiError::missing_param(format!("\"{name}\" is missing in the body"));
    let login_type = login_type.ok_or_else(|| missing("type"))?;
    if login_type != "m.login.password" {
        return Ok(Credentials::Unknown(login_type));
    }
    if identifier.is_none() && user.is_none() {
        return Err(missing("identifier"));
    }
    let user = identifier.map_or(user, Identifier::into_user);
    let password = password.ok_or_else(|| missing("password"))?.into();
    Ok(Credentials::Password { user, password })
}

fn response(login: Login) -> Response {
    let access_token = login.access_token.into_inner();
    let mut response = Response::new(login.user_id, access_token, login.device_id);
    response.refresh_token = login.refresh_token.map(|token| token.into_inner());
    response.expires_in = login.expires_in_ms.map(milliseconds);
    response
}

/// Negative spans, which do not occur, count as none.
pub(crate) fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
