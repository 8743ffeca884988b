//! Refusals, as other servers see them.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::x_matrix::Refused;

/// A refusal: status, Matrix error code, and a sentence for the people who read the other log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    sentence: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            status,
            code,
            sentence: sentence.into(),
        }
    }

    pub(crate) fn unrecognized() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "M_UNRECOGNIZED",
            "This server has no such endpoint",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "M_UNRECOGNIZED",
            "This endpoint exists, but not with this method",
        )
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "M_TOO_LARGE",
            format!("The body is larger than {bytes_max} bytes"),
        )
    }

    pub(crate) fn incomplete() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "M_NOT_JSON",
            "The body did not arrive whole",
        )
    }
}

impl From<spec::json::JsonError> for ApiError {
    fn from(error: spec::json::JsonError) -> Self {
        let code = if error.kind.is_json() {
            "M_BAD_JSON"
        } else {
            "M_NOT_JSON"
        };
        Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "M_UNAUTHORIZED",
            refused.to_string(),
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.status.as_u16(),
            self.code,
            self.sentence
        )
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(json!({"errcode": self.code, "error": self.sentence}))
    }
}
