//! What guests may ask for: client-server API, "Guest Access", "Client behaviour".

use actix_web::http::Method;

use crate::error::ApiError;

/// The endpoints for guests, by method and the path behind `/_matrix/client/` and the version.
const ENDPOINTS: [(Method, &str); 22] = [
    (Method::GET, "rooms/{room_id}/state"),
    (Method::GET, "rooms/{room_id}/context/{event_id}"),
    (Method::GET, "rooms/{room_id}/event/{event_id}"),
    (
        Method::GET,
        "rooms/{room_id}/state/{event_type}/{state_key}",
    ),
    (Method::GET, "rooms/{room_id}/state/{event_type}"),
    (Method::GET, "rooms/{room_id}/messages"),
    (Method::GET, "rooms/{room_id}/members"),
    (Method::GET, "rooms/{room_id}/initialSync"),
    (Method::GET, "sync"),
    // Of one room only, which its handler sees to.
    (Method::GET, "events"),
    (Method::POST, "rooms/{room_id}/join"),
    (Method::POST, "rooms/{room_id}/leave"),
    (Method::PUT, "rooms/{room_id}/send/{event_type}/{txn_id}"),
    (
        Method::PUT,
        "rooms/{room_id}/state/{event_type}/{state_key}",
    ),
    (Method::PUT, "rooms/{room_id}/state/{event_type}"),
    (Method::PUT, PROFILE_FIELD),
    (Method::DELETE, PROFILE_FIELD),
    (Method::GET, "devices"),
    (Method::GET, "devices/{device_id}"),
    (Method::PUT, "devices/{device_id}"),
    (Method::GET, "account/whoami"),
    // If the operator lets them, which its handler sees to.
    (Method::GET, "voip/turnServer"),
];

/// Those that need no token, which must not close them.
const OPEN: [(Method, &str); 7] = [
    (Method::GET, "versions"),
    (Method::GET, "profile/{user_id}"),
    (Method::GET, PROFILE_FIELD),
    (Method::GET, "publicRooms"),
    (Method::GET, "room_summary/{room_id_or_alias}"),
    (
        Method::GET,
        "unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
    ),
    (
        Method::GET,
        "unstable/im.nheko.summary/summary/{room_id_or_alias}",
    ),
];

const PROFILE_FIELD: &str = "profile/{user_id}/{field}";

/// Lets a guest pass where guests may ask. `pattern` is that of the path, `arguments` are its variables.
///
/// # Errors
/// 403 `M_GUEST_ACCESS_FORBIDDEN`.
pub(crate) fn check<'a>(
    method: &Method,
    pattern: &str,
    mut arguments: impl Iterator<Item = &'a str>,
) -> Result<(), ApiError> {
    let short = short(pattern);
    let listed = |list: &[(Method, &str)]| {
        let mut list = list.iter();
        list.any(|(of, path)| of == method && same(path, short))
    };
    // Of their profile guests may change the name only.
    let is_change = same(PROFILE_FIELD, short) && method != Method::GET;
    let is_name = arguments.nth(1) == Some("displayname");
    if (listed(&ENDPOINTS) && (!is_change || is_name)) || listed(&OPEN) {
        return Ok(());
    }
    Err(refusal())
}

/// What guests hear who ask for more.
pub(crate) fn refusal() -> ApiError {
    ApiError::guest_access_forbidden("Guests cannot do this: register an account for it")
}

/// The path behind `/_matrix/client/` and the version.
fn short(pattern: &str) -> &str {
    let path = pattern.strip_prefix("/_matrix/client/").unwrap_or(pattern);
    match path.split_once('/') {
        Some(("r0" | "v1" | "v3", rest)) => rest,
        _ => path,
    }
}

/// Whether two patterns are the same but for the names of their variables.
fn same(one: &str, other: &str) -> bool {
    let is_variable = |part: &str| part.starts_with('{');
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || (is_variable(a) && is_variable(b)) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registered;

    #[test]
    fn every_listed_endpoint_is_there() {
        let routes = registered();
        for (method, path) in ENDPOINTS.iter().chain(&OPEN) {
            let mut found = routes.iter();
            let found = found.any(|(of, pattern)| of == method && same(path, short(pattern)));
            assert!(found, "{method} {path}");
        }
    }

    #[test]
    fn guests_change_their_name_and_nothing_else() {
        let pattern = "/_matrix/client/v3/profile/{user_id}/{field}";
        let check = |method: &Method, field: &'static str| {
            check(method, pattern, ["@1:here", field].into_iter()).is_ok()
        };
        assert!(check(&Method::PUT, "displayname"));
        assert!(check(&Method::DELETE, "displayname"));
        assert!(!check(&Method::PUT, "avatar_url"));
        assert!(!check(&Method::DELETE, "avatar_url"));
        assert!(check(&Method::GET, "avatar_url"));
    }
}
