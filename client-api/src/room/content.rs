//! Objects out of a body that go into events as they are: every key kept, no duplicate keys, no limits but those of JSON.
//! Which numbers an event may hold depends on the room's version, so the engine checks them.

use spec::json::{Object, Strictness, parse_object};

use crate::error::ApiError;

/// Parses an object that becomes content of an event.
///
/// # Errors
/// 400 `M_NOT_JSON` or, for JSON that no event may hold (duplicate keys, half surrogates), `M_BAD_JSON`.
pub(crate) fn object(json: &str) -> Result<Object, ApiError> {
    parse_object(json.as_bytes(), Strictness::Lenient).map_err(|error| {
        let sentence = format!("The content cannot be part of an event: {error}");
        if error.kind.is_json() {
            ApiError::bad_json(sentence)
        } else {
            ApiError::not_json(sentence)
        }
    })
}

/// Parses a whole body as content. Here an empty body does not count as `{}`.
///
/// # Errors
/// As [`object`].
pub(crate) fn body(raw: &[u8]) -> Result<Object, ApiError> {
    let json = std::str::from_utf8(raw)
        .ok()
        .filter(|json| !json.is_empty());
    json.map_or_else(
        || {
            Err(ApiError::not_json(
                "The body is empty: it must be the content",
            ))
        },
        object,
    )
}
