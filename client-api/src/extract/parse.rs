//! The last step of extraction: ruma's typed request, or a sentence that names what does not fit.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest};
use ruma::{
    EventId, RoomAliasId, RoomId, RoomOrAliasId, UserId,
    api::{IncomingRequest, error::DeserializationError, path_builder::PathBuilder as _},
};

use super::{body::has_nul, place};
use crate::{Matched, error::ApiError};

/// Parses path, query and body as the request type `R`.
///
/// # Errors
/// 400: `M_INVALID_PARAM` or `M_MISSING_PARAM` for path and query, `M_BAD_JSON` for the body.
pub(super) fn request<R: IncomingRequest>(
    request: &HttpRequest,
    body: &[u8],
) -> Result<R, ApiError> {
    let extensions = request.extensions();
    let arguments = extensions
        .get::<Matched>()
        .map_or(&[][..], |matched| &matched.arguments);
    if arguments.iter().any(|(_, value)| value.contains('\0'))
        || request.query_string().contains("%00")
    {
        return Err(ApiError::invalid_param(
            "The path or query contains a NUL character",
        ));
    }
    if has_nul(body) && !is_content::<R>() {
        return Err(nul_in_body());
    }
    let uri = match request.uri().query() {
        Some(query) => format!("/?{query}"),
        None => "/".to_owned(),
    };
    let mut builder = http::Request::builder().method(R::METHOD).uri(uri);
    if let Some(content_type) = request.headers().get("content-type") {
        builder = builder.header("content-type", content_type.as_bytes());
    }
    let Ok(typed) = builder.body(completed::<R>(body)) else {
        return Err(ApiError::invalid_param(
            "The query holds characters that are not allowed",
        ));
    };
    let values: Vec<&str> = arguments.iter().map(|(_, value)| value.as_str()).collect();
    R::try_from_http_request_inner(typed, &values).map_err(|error| diagnose(arguments, body, error))
}

/// The body, or an empty object in place of none: a `POST` whose fields are all optional needs no body. A `PUT` stores
/// what it gets, so there nothing is made of nothing.
fn completed<R: IncomingRequest>(body: &[u8]) -> &[u8] {
    match body {
        [] if R::METHOD == http::Method::POST => b"{}",
        body => body,
    }
}

/// 400 for text that no name or identifier has.
pub(crate) fn nul_in_body() -> ApiError {
    ApiError::bad_json(
        "The body contains a NUL character (\\u0000): this server does not keep such text",
    )
}

/// Whether the body of `R` is content of an event or account data, which is kept as JSON with whatever is in it.
fn is_content<R: IncomingRequest>() -> bool {
    let builder = R::PATH_BUILDER;
    let kinds = ["/send/", "/state/", "/account_data/"];
    builder
        .all_paths()
        .any(|path| kinds.iter().any(|kind| path.contains(kind)))
}

/// Finds the words for an error of deserialization.
fn diagnose(
    arguments: &[(Arc<str>, String)],
    body: &[u8],
    error: DeserializationError,
) -> ApiError {
    match error {
        DeserializationError::Json(error) => ApiError::bad_json(wrong_shape(body, &error)),
        // ruma reports path and query alike.
        DeserializationError::Query(error) => {
            if let Some(sentence) = arguments
                .iter()
                .find_map(|(name, value)| misfit(name, value))
            {
                return ApiError::invalid_param(sentence);
            }
            let message = error.to_string();
            match message.strip_prefix("missing field ") {
                Some(name) => {
                    ApiError::missing_param(format!("The query parameter {name} is missing"))
                }
                None => ApiError::invalid_param(format!("A parameter does not fit: {message}")),
            }
        }
        DeserializationError::Utf8(_) => ApiError::not_json("The body is not valid UTF-8"),
        other => ApiError::invalid_param(format!("The request does not fit: {other}")),
    }
}

/// A sentence about a path variable that is no identifier of the kind that its name says.
fn misfit(name: &str, value: &str) -> Option<String> {
    let (what, parsed) = match name {
        "user_id" => ("user ID (@name:server)", UserId::parse(value).err()),
        "room_id" => ("room ID", RoomId::parse(value).err()),
        "event_id" => ("event ID", EventId::parse(value).err()),
        "room_alias" => ("room alias (#name:server)", RoomAliasId::parse(value).err()),
        "room_id_or_alias" => ("room ID or alias", RoomOrAliasId::parse(value).err()),
        _ => return None,
    };
    let error = parsed?;
    let shown: String = value.chars().take(80).collect();
    Some(format!("\"{shown}\" in the path is not a {what}: {error}"))
}

/// A sentence that names the field of the body and what is wrong with it.
pub(crate) fn wrong_shape(body: &[u8], error: &serde_json::Error) -> String {
    let message = error.to_string();
    // The place says nothing to someone who did not write the text by hand.
    let message = message
        .rfind(" at line ")
        .map_or(&*message, |at| &message[..at]);
    match place::path_at(body, error.line(), error.column()) {
        Some(path) => format!("\"{path}\" in the body does not fit: {message}"),
        None => format!("The body does not fit: {message}"),
    }
}
