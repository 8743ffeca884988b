//! Reading a body: bounded in size, time and depth, and JSON whatever its Content-Type says.

use std::time::Duration;

use actix_web::{HttpRequest, dev::Payload, http::StatusCode, web};
use futures_util::StreamExt as _;
use serde::de::IgnoredAny;

use crate::error::ApiError;

/// The longest that a body may take to arrive.
const READ_MAX: Duration = Duration::from_secs(60);
/// How much of an unwanted body is read to let the client finish sending, so that it sees the answer.
const DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest that draining may take.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How deep arrays and objects may be nested. No Matrix request comes near; parsers further in may recurse.
const DEPTH_MAX: usize = 100;

/// Reads the whole body and checks that it is JSON, or empty.
///
/// # Errors
/// 413 over `bytes_max`; 408 too slow; 400 `M_NOT_JSON` or, if nested too deeply or no object, `M_BAD_JSON`.
pub(super) async fn read(
    payload: &mut Payload,
    request: &HttpRequest,
    bytes_max: usize,
) -> Result<web::Bytes, ApiError> {
    let declared = request.headers().get("content-length");
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let collected = if declared.is_some_and(|bytes| bytes > bytes_max) {
        Err(too_large(bytes_max))
    } else {
        let collecting = collect(payload, declared.unwrap_or(0), bytes_max);
        tokio::time::timeout(READ_MAX, collecting)
            .await
            .unwrap_or_else(|_| {
                Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "M_UNKNOWN",
                    "The body came too slowly",
                ))
            })
    };
    let body = match collected {
        Ok(body) => body,
        Err(error) => {
            drain(payload).await;
            return Err(error);
        }
    };
    check_json(&body)?;
    Ok(body)
}

/// Reads on and forgets, within bounds, so that the connection stays usable after a refusal.
pub(crate) async fn drain(payload: &mut Payload) {
    let draining = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = payload.next().await {
            bytes += chunk.len();
            if bytes > DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    // Whoever is slower than this loses the connection: there is nothing left to tell them.
    let _ = tokio::time::timeout(DRAIN_MAX, draining).await;
}

async fn collect(
    payload: &mut Payload,
    bytes_expected: usize,
    bytes_max: usize,
) -> Result<web::Bytes, ApiError> {
    let mut body = web::BytesMut::with_capacity(bytes_expected.min(64 * 1024));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "The body broke off")
        })?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::too_large(format!(
        "The body is larger than the {bytes_max} bytes allowed here"
    ))
}

/// Checks that a body is empty or a JSON object in UTF-8, nested no deeper than [`DEPTH_MAX`].
pub(crate) fn check_json(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    if std::str::from_utf8(body).is_err() {
        return Err(ApiError::not_json("The body is not valid UTF-8"));
    }
    if depth(body) > DEPTH_MAX {
        return Err(ApiError::bad_json(format!(
            "The body is nested more than {DEPTH_MAX} levels deep"
        )));
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        return Err(ApiError::not_json(format!("The body is not JSON: {error}")));
    }
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ApiError::bad_json("The body must be a JSON object"));
    }
    Ok(())
}

/// Whether a string of valid JSON holds a NUL, which is always written as an escape.
///
/// Matrix does not forbid it, but no client means it in a name or an identifier, and PostgreSQL cannot keep it as text.
pub(crate) fn has_nul(json: &[u8]) -> bool {
    let mut escaped = false;
    json.iter().enumerate().any(|(at, &byte)| {
        let is_nul = escaped && json[at..].starts_with(b"u0000");
        escaped = !escaped && byte == b'\\';
        is_nul
    })
}

/// The deepest nesting of brackets outside strings. Looks no further than what is right for valid JSON.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                now += 1;
                deepest = deepest.max(now);
            }
            (false, b'}' | b']') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::{check_json, depth, has_nul};

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":[{}]}"#), 3);
        assert_eq!(depth(b"}}}}[["), 2);
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        for (json, expected) in [
            (&br#"{"a":"\u0000"}"#[..], true),
            (br#"{"a\u0000":1}"#, true),
            (br#"{"a":"\\u0000"}"#, false),
            (br#"{"a":"\\\u0000"}"#, true),
            (br#"{"a":"u0000"}"#, false),
        ] {
            assert_eq!(has_nul(json), expected, "{}", json.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_json_and_what_has_the_wrong_shape() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for (body, expected) in [
            (&b""[..], None),
            (b" { } ", None),
            (b"{\"a\":\xff}", Some("M_NOT_JSON")),
            (b"{", Some("M_NOT_JSON")),
            (b"{\"a\":NaN}", Some("M_NOT_JSON")),
            (b"{} {}", Some("M_NOT_JSON")),
            (b"[]", Some("M_BAD_JSON")),
            (b"null", Some("M_BAD_JSON")),
            (deep.as_bytes(), Some("M_BAD_JSON")),
        ] {
            let error = check_json(body).err();
            assert_eq!(
                error.as_ref().map(|e| e.errcode()),
                expected,
                "{:?}",
                body.get(..20)
            );
        }
    }
}
