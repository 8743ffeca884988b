//! `https://<host>/.well-known/matrix/server` of other servers.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, DATE, EXPIRES, HOST, LOCATION, USER_AGENT},
};
use http_body_util::Full;
use spec::{
    discovery::{Host, Place, Rule, Target},
    json::{Strictness, Value, parse_object},
    server_name,
};
use url::Url;

use crate::{
    client::AGENT,
    transport::{Limits, Transport, TransportError},
};

/// A file with one short line; those who send more send something else.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(10),
    body_bytes_max: 50 * 1024,
};

/// How many redirects are followed; a loop ends here too.
const REDIRECTS_MAX: usize = 5;

/// What a valid file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delegation {
    /// A valid server name.
    pub(super) server: String,
    /// How long to keep it, in milliseconds, if the headers say so.
    pub(super) max_age_ms: Option<i64>,
}

/// Why a host delegates to nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WellKnownError {
    #[error("{error}{}", cause(.error))]
    Transport { error: TransportError },
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("there are more than {REDIRECTS_MAX} redirects")]
    Redirects,
    #[error("it redirects to {0}, which is no https address")]
    Redirect(String),
    #[error("the answer is not JSON with a valid m.server")]
    Invalid,
}

impl WellKnownError {
    /// Whether the host merely has trouble, and does not mean to delegate to nobody.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status(status) => *status >= 500 || *status == 429,
            Self::Redirects | Self::Redirect(_) | Self::Invalid => false,
        }
    }
}

fn cause(error: &TransportError) -> String {
    let source = std::error::Error::source(error);
    source
        .map(|source| format!(": {source}"))
        .unwrap_or_default()
}

/// What the file of `host` says.
///
/// # Errors
/// See [`WellKnownError`]: then the host answers for itself.
pub(super) async fn fetch(transport: &Transport, host: &str) -> Result<Delegation, WellKnownError> {
    let start = format!("https://{host}/.well-known/matrix/server");
    let mut url = Url::parse(&start).map_err(|_| WellKnownError::Redirect(start))?;
    for _ in 0..=REDIRECTS_MAX {
        let answer = get(transport, &url).await?;
        if !answer.status().is_redirection() {
            return read(&answer);
        }
        url = redirected(&url, &answer)?;
    }
    Err(WellKnownError::Redirects)
}

async fn get(transport: &Transport, url: &Url) -> Result<Response<Bytes>, WellKnownError> {
    let no_address = || WellKnownError::Redirect(url.to_string());
    let target = target(url).ok_or_else(no_address)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::get(path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::new()))
        .map_err(|_| no_address())?;
    let sent = transport.send(&target, request, LIMITS).await;
    sent.map_err(|error| WellKnownError::Transport { error })
}

/// Where an `https` URL leads.
pub(crate) fn target(url: &Url) -> Option<Target> {
    match url.scheme() {
        "https" => anywhere(url),
        _ => None,
    }
}

/// The same for any scheme.
pub(crate) fn anywhere(url: &Url) -> Option<Target> {
    let host = match url.host()? {
        url::Host::Domain(name) => Host::Name(name.to_owned()),
        url::Host::Ipv4(address) => Host::Address(address.into()),
        url::Host::Ipv6(address) => Host::Address(address.into()),
    };
    Some(Target {
        rule: Rule::Host,
        authority: url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
        certificate: host.clone(),
        places: vec![Place {
            host,
            port: url.port_or_known_default()?,
        }],
    })
}

fn redirected(from: &Url, answer: &Response<Bytes>) -> Result<Url, WellKnownError> {
    let location = answer.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| WellKnownError::Status(answer.status().as_u16()))?;
    from.join(location)
        .map_err(|_| WellKnownError::Redirect(location.to_owned()))
}

/// Whatever content type it has: the specification wants it read as JSON.
fn read(answer: &Response<Bytes>) -> Result<Delegation, WellKnownError> {
    if answer.status() != StatusCode::OK {
        return Err(WellKnownError::Status(answer.status().as_u16()));
    }
    let file = parse_object(answer.body(), Strictness::Lenient);
    let file = file.map_err(|_| WellKnownError::Invalid)?;
    let server = file.get("m.server").and_then(Value::as_str);
    let server = server.filter(|name| server_name::parse(name).is_some());
    Ok(Delegation {
        server: server.ok_or(WellKnownError::Invalid)?.to_owned(),
        max_age_ms: max_age_ms(answer.headers()),
    })
}

/// How long an answer may be kept by its headers (RFC 9111, sections 4.2.1 and 5.2.2), in milliseconds.
fn max_age_ms(headers: &HeaderMap) -> Option<i64> {
    let controls = headers
        .get_all(CACHE_CONTROL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let mut max_age = None;
    for control in controls {
        if matches!(control.as_str(), "no-store" | "no-cache") {
            return Some(0);
        }
        if let Some(seconds) = control.strip_prefix("max-age=") {
            let seconds: Option<i64> = seconds.trim_matches('"').parse().ok();
            max_age = max_age.or(seconds.map(|seconds| seconds.saturating_mul(1_000)));
        }
    }
    max_age.or_else(|| {
        let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
        let kept = date(EXPIRES)?
            .duration_since(date(DATE)?)
            .unwrap_or_default();
        i64::try_from(kept.as_millis()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response<Bytes> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(Bytes::from(body.to_owned())).unwrap()
    }

    #[test]
    fn headers_say_how_long_to_keep_it() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let hour_later = ("expires", "Sun, 06 Nov 1994 09:49:37 GMT");
        for (headers, expected) in [
            (&[][..], None),
            (&[("cache-control", "public, max-age=60")], Some(60_000)),
            (
                &[
                    ("cache-control", "Max-Age=60"),
                    ("cache-control", "no-store"),
                ],
                Some(0),
            ),
            (&[("cache-control", "max-age=nonsense")], None),
            (&[date, hour_later], Some(3_600_000)),
            (&[date, ("expires", "0")], None),
            (
                &[date, hour_later, ("cache-control", "max-age=1")],
                Some(1_000),
            ),
        ] {
            let answer = answer(200, headers, "");
            assert_eq!(max_age_ms(answer.headers()), expected, "{headers:?}");
        }
    }

    #[test]
    fn only_valid_files_delegate() {
        for (status, body, server) in [
            (
                200,
                r#"{"m.server": "d.example:443"}"#,
                Some("d.example:443"),
            ),
            (
                200,
                r#"{"m.server": "d.example", "other": 1.5}"#,
                Some("d.example"),
            ),
            (200, r#"{"m.server": "not a name"}"#, None),
            (200, r#"{"m.server": 7}"#, None),
            (200, "<html>", None),
            (404, r#"{"m.server": "d.example"}"#, None),
        ] {
            let read = read(&answer(status, &[], body)).ok();
            assert_eq!(
                read.as_ref().map(|d| d.server.as_str()),
                server,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn redirects_stay_within_https() {
        let from = Url::parse("https://a.example/.well-known/matrix/server").unwrap();
        for (location, authority) in [
            ("https://b.example/x?y=z", Some("b.example")),
            ("//b.example:8443/x", Some("b.example:8443")),
            ("/elsewhere", Some("a.example")),
            ("http://b.example/", None),
            ("https://[2001:db8::1]:1/", Some("[2001:db8::1]:1")),
        ] {
            let url = redirected(&from, &answer(302, &[("location", location)], "")).unwrap();
            let found = target(&url).map(|target| target.authority);
            assert_eq!(found.as_deref(), authority, "{location}");
        }
    }
}
