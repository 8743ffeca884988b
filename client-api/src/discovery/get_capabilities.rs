//! `GET /_matrix/client/v3/capabilities`: client-server API, "Capabilities negotiation".

use actix_web::{http::Method, web};
use ruma::api::client::discovery::get_capabilities::v3::Request;
use serde_json::{Value, json};

use crate::{Shared, error::ApiError, extract::Authed, reply::Json};

/// Room versions that rooms can be created with and joined in. The default is among them.
const ROOM_VERSIONS: [&str; 3] = ["10", "11", "12"];
/// The version of new rooms.
const ROOM_VERSION_DEFAULT: &str = "12";

/// Answers with what this server lets its users do. A capability that hangs on an endpoint is there if the endpoint is.
pub(crate) async fn handle(
    shared: web::Data<Shared>,
    _ask: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let serves = |method: Method, path: &str| {
        let enabled = shared
            .router
            .serves(&method, &format!("/_matrix/client{path}"));
        json!({ "enabled": enabled })
    };
    let available: serde_json::Map<String, Value> = ROOM_VERSIONS
        .iter()
        .map(|version| ((*version).to_owned(), "stable".into()))
        .collect();
    Ok(Json(json!({ "capabilities": {
        "m.room_versions": { "default": ROOM_VERSION_DEFAULT, "available": available },
        "m.change_password": serves(Method::POST, "/v3/account/password"),
        "m.set_displayname": serves(Method::PUT, "/v3/profile/@a:b/displayname"),
        "m.set_avatar_url": serves(Method::PUT, "/v3/profile/@a:b/avatar_url"),
        "m.profile_fields": serves(Method::PUT, "/v3/profile/@a:b/m.tz"),
        "m.3pid_changes": serves(Method::POST, "/v3/account/3pid/add"),
        "m.get_login_token": serves(Method::POST, "/v1/login/get_token"),
        "m.forget_forced_upon_leave": { "enabled": false },
    } })))
}
