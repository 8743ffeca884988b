//! `GET /_matrix/client/v3/capabilities`: client-server API, "Capabilities negotiation".

use actix_web::{http::Method, web};
use engine::{Engine, ProfileSettings};
use ruma::api::client::discovery::get_capabilities::v3::Request;
use serde_json::{Map, Value, json};
use spec::room_version::RoomVersion;

use crate::{Shared, error::ApiError, extract::Authed, reply::Json};

/// Answers with what this server lets its users do. A capability that hangs on an endpoint is there if the endpoint is.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    _ask: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let serves = |method: Method, path: &str| {
        let enabled = shared
            .router
            .serves(&method, &format!("/_matrix/client{path}"));
        json!({ "enabled": enabled })
    };
    let profiles = engine.accounts().profile_settings();
    let stable = RoomVersion::all().iter().map(|version| (version, "stable"));
    let unstable = RoomVersion::unstable();
    let unstable = unstable.iter().map(|version| (version, "unstable"));
    let available: Map<String, Value> = stable
        .chain(unstable)
        .map(|(version, stability)| (version.id().to_owned(), stability.into()))
        .collect();
    Ok(Json(json!({ "capabilities": {
        "m.room_versions": { "default": engine.default_room_version(), "available": available },
        "m.change_password": serves(Method::POST, "/v3/account/password"),
        "m.set_displayname": { "enabled": profiles.allows("displayname") },
        "m.set_avatar_url": { "enabled": profiles.allows("avatar_url") },
        "m.profile_fields": profile_fields(profiles),
        "m.3pid_changes": serves(Method::POST, "/v3/account/3pid/add"),
        "m.get_login_token": serves(Method::POST, "/v1/login/get_token"),
        "m.forget_forced_upon_leave": { "enabled": false },
    } })))
}

fn profile_fields(profiles: &ProfileSettings) -> Value {
    let mut fields = json!({ "enabled": profiles.enabled });
    match &profiles.allowed {
        Some(allowed) => fields["allowed"] = json!(allowed),
        None if profiles.disallowed.is_empty() => {}
        None => fields["disallowed"] = json!(profiles.disallowed),
    }
    fields
}
