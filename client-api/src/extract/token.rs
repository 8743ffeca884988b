//! Where an access token stands in a request: client-server API, "Using access tokens".

use actix_web::{HttpRequest, http::header::AUTHORIZATION, web};

use crate::error::ApiError;

#[derive(serde::Deserialize)]
struct Query {
    access_token: Option<String>,
}

/// The access token of the request: the header before the query, the query only if `in_query`.
///
/// # Errors
/// 401 `M_MISSING_TOKEN` for an `Authorization` header that holds no bearer token.
pub(crate) fn of(request: &HttpRequest, in_query: bool) -> Result<Option<String>, ApiError> {
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let token = header
            .to_str()
            .ok()
            .and_then(bearer)
            .filter(|token| !token.is_empty());
        return token
            .map(|token| Some(token.to_owned()))
            .ok_or_else(ApiError::missing_token);
    }
    if !in_query || !request.query_string().contains("access_token=") {
        return Ok(None);
    }
    let query = web::Query::<Query>::from_query(request.query_string()).ok();
    Ok(query.and_then(|query| query.into_inner().access_token))
}

/// The token of a `Bearer` header; the scheme in any case (RFC 9110).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
