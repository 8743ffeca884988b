//! Who may open a socket: `spec/api/extensions/websocket.md`, "Opening".

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    },
    web,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{api::client::sync::sync_events::v3::Filter, presence::PresenceState};
use serde::Deserialize;

use crate::{error::ApiError, extract};

/// The subprotocol.
pub(super) const PROTOCOL: &str = "m.json";
/// The beginning of the subprotocol that carries the token.
const BEARER: &str = "m.bearer.";
/// The longest `conn_id`, in characters.
const CONN_ID_CHARS_MAX: usize = 64;

/// What the query of a handshake says.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    pub(super) since: Option<String>,
    pub(super) filter: Option<Filter>,
    #[serde(default)]
    pub(super) use_state_after: bool,
    /// The same by the name that it had before it was specified (MSC4222).
    #[serde(default, rename = "org.matrix.msc4222.use_state_after")]
    pub(super) under_old_name: bool,
    #[serde(default)]
    pub(super) set_presence: PresenceState,
    #[serde(default)]
    pub(super) conn_id: String,
    #[serde(default)]
    pub(super) sliding: bool,
}

/// Checks everything about a handshake but whether the token is known, and answers with query and token.
///
/// # Errors
/// 426 without an upgrade; 401 without a token; 403 for a foreign origin; 400 for query and subprotocols.
pub(super) fn check(
    request: &HttpRequest,
    origins: &[String],
) -> Result<(Query, String), ApiError> {
    let upgrade = request
        .headers()
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok());
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Err(ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "M_UNKNOWN",
            "This endpoint speaks WebSocket: ask with \"Upgrade: websocket\"",
        ));
    }
    let offered = offered(request);
    let token = if request.headers().contains_key(AUTHORIZATION) {
        extract::token(request, false)?
    } else {
        let token = offered
            .iter()
            .find_map(|protocol| protocol.strip_prefix(BEARER));
        token
            .map(|encoded| from_protocol(request, encoded, origins))
            .transpose()?
    };
    let token = token.ok_or_else(ApiError::missing_token)?;
    if !offered.is_empty() && !offered.contains(&PROTOCOL) {
        return Err(ApiError::invalid_param(format!(
            "Offer the subprotocol \"{PROTOCOL}\": there is no other here"
        )));
    }
    let query = web::Query::<Query>::from_query(request.query_string())
        .map_err(|error| {
            ApiError::invalid_param(format!("A query parameter does not fit: {error}"))
        })?
        .into_inner();
    if query.conn_id.chars().count() > CONN_ID_CHARS_MAX {
        return Err(ApiError::invalid_param(format!(
            "The query parameter \"conn_id\" has more than {CONN_ID_CHARS_MAX} characters"
        )));
    }
    Ok((query, token))
}

/// The subprotocols that the client offers.
fn offered(request: &HttpRequest) -> Vec<&str> {
    let headers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let values = headers.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .collect()
}

/// The token out of a subprotocol: what a script in a browser sends, so the origin of the page is looked at.
fn from_protocol(
    request: &HttpRequest,
    encoded: &str,
    origins: &[String],
) -> Result<String, ApiError> {
    if let Some(origin) = request.headers().get(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let host = request
            .headers()
            .get(HOST)
            .and_then(|value| value.to_str().ok());
        if !is_trusted(origin, host, origins) {
            return Err(ApiError::forbidden(
                "Pages of this origin may not open a socket here",
            ));
        }
    }
    let decoded = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('='));
    decoded
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(ApiError::missing_token)
}

/// Whether `origin` is the server itself or one of `origins` (`*` for all).
fn is_trusted(origin: &str, host: Option<&str>, origins: &[String]) -> bool {
    let own = origin.split_once("://").map(|(_, authority)| authority);
    (own.is_some() && own == host)
        || origins
            .iter()
            .any(|trusted| trusted == "*" || trusted.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::{check, is_trusted};

    fn handshake() -> TestRequest {
        TestRequest::default()
            .insert_header(("upgrade", "websocket"))
            .insert_header(("host", "a.b"))
    }

    #[test]
    fn a_token_comes_in_the_header_or_as_a_subprotocol() {
        let bearer = ("authorization", "Bearer abc");
        let protocols = |list: &'static str| ("sec-websocket-protocol", list);
        for (request, expected) in [
            (handshake().insert_header(bearer), Ok("abc")),
            (
                handshake()
                    .insert_header(bearer)
                    .insert_header(protocols("m.json")),
                Ok("abc"),
            ),
            (
                handshake().insert_header(protocols("m.json, m.bearer.YWJj")),
                Ok("abc"),
            ),
            (
                handshake().insert_header(protocols("m.bearer.YWJj")),
                Err("M_INVALID_PARAM"),
            ),
            (
                handshake()
                    .insert_header(bearer)
                    .insert_header(protocols("x")),
                Err("M_INVALID_PARAM"),
            ),
            (
                handshake().insert_header(protocols("m.json, m.bearer.!")),
                Err("M_MISSING_TOKEN"),
            ),
            (
                handshake().uri("/?access_token=abc"),
                Err("M_MISSING_TOKEN"),
            ),
            (
                handshake().insert_header(bearer).uri("/?use_state_after=1"),
                Err("M_INVALID_PARAM"),
            ),
            (
                TestRequest::default().insert_header(bearer),
                Err("M_UNKNOWN"),
            ),
        ] {
            let checked = check(&request.to_http_request(), &[]);
            let token = checked
                .as_ref()
                .map(|(_, token)| &**token)
                .map_err(|e| e.errcode());
            assert_eq!(token, expected);
        }
    }

    #[test]
    fn only_trusted_pages_open_sockets() {
        let listed = ["https://app.example".to_owned()];
        for (origin, trusted) in [
            ("https://a.b", true),
            ("http://a.b:8008", false),
            ("https://app.example", true),
            ("https://evil.example", false),
            ("null", false),
        ] {
            assert_eq!(
                is_trusted(origin, Some("a.b"), &listed),
                trusted,
                "{origin}"
            );
        }
        assert!(is_trusted("https://any.example", None, &["*".to_owned()]));
    }
}
