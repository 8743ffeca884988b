//! Refusals, as other servers see them.

use std::{fmt, time::Duration};

use actix_web::http::{StatusCode, header::RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::x_matrix::Refused;

/// A refusal: status, Matrix error code, and a sentence for the people who read the other log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    sentence: String,
    /// With `M_INCOMPATIBLE_ROOM_VERSION`.
    room_version: Option<String>,
    /// With `M_LIMIT_EXCEEDED`: when to come back.
    retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            status,
            code,
            sentence: sentence.into(),
            room_version: None,
            retry_after: None,
        }
    }

    /// The endpoint exists, but not for this server.
    pub(crate) fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", sentence)
    }

    /// The server asks too often, and may come back after `wait`.
    pub(crate) fn too_many(wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "M_LIMIT_EXCEEDED",
                "Your server asks more often than this one lets it",
            )
        }
    }

    /// 500; the cause has been logged.
    pub(crate) fn failure() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "M_UNKNOWN",
            "This server failed to do it; its log says more",
        )
    }

    /// The endpoint exists, the thing does not.
    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", sentence)
    }

    /// A value that is not there.
    pub(crate) fn missing_param(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", sentence)
    }

    /// A request that needs a token and has none.
    pub(crate) fn missing_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "M_MISSING_TOKEN",
            "access_token is missing",
        )
    }

    /// No JSON at all.
    pub(crate) fn not_json(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", sentence)
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

    /// JSON of the wrong shape.
    pub(crate) fn bad_json(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", sentence)
    }

    /// A value that makes no sense where it is.
    pub(crate) fn invalid_param(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", sentence)
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

impl From<engine::Error> for ApiError {
    fn from(error: engine::Error) -> Self {
        use engine::Error as Engine;
        match error {
            Engine::NotFound(subject) => Self::not_found(subject.sentence()),
            Engine::Forbidden(sentence) => Self::forbidden(sentence),
            Engine::Denied(rule) => Self::forbidden(rule.sentence()),
            Engine::Policy { error, .. } | Engine::Elsewhere { error, .. } => {
                Self::forbidden(error)
            }
            Engine::BadJson(sentence) => Self::bad_json(sentence),
            Engine::InvalidParam(sentence) => Self::invalid_param(sentence),
            Engine::MissingParam(sentence) => Self::missing_param(sentence),
            Engine::TooLarge(sentence) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", sentence)
            }
            Engine::InviteBlocked => Self::new(
                StatusCode::FORBIDDEN,
                "M_INVITE_BLOCKED",
                "The user does not want to be invited",
            ),
            Engine::UnableToAuthoriseJoin => Self::new(
                StatusCode::BAD_REQUEST,
                "M_UNABLE_TO_AUTHORISE_JOIN",
                "This server does not know the rooms whose members may join",
            ),
            Engine::UnableToGrantJoin => Self::new(
                StatusCode::BAD_REQUEST,
                "M_UNABLE_TO_GRANT_JOIN",
                "Nobody of this server may let the user in",
            ),
            Engine::UnsupportedRoomVersion(version) | Engine::IncompatibleRoomVersion(version) => {
                Self {
                    room_version: Some(version),
                    ..Self::new(
                        StatusCode::BAD_REQUEST,
                        "M_INCOMPATIBLE_ROOM_VERSION",
                        "One of the two servers does not know the version of this room",
                    )
                }
            }
            Engine::UnknownToken { .. } => Self::new(
                StatusCode::UNAUTHORIZED,
                "M_UNKNOWN_TOKEN",
                "The token is not known here, or has run out",
            ),
            Engine::Unreachable(sentence) => {
                Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", sentence)
            }
            Engine::LimitExceeded { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "M_LIMIT_EXCEEDED",
                    "Too many requests",
                )
            },
            error @ (Engine::Store(_) | Engine::Internal(_)) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(cause, "a request of another server failed");
                Self::failure()
            }
            other => Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", other.to_string()),
        }
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
        let mut body = json!({"errcode": self.code, "error": self.sentence});
        if let Some(version) = &self.room_version {
            body["room_version"] = version.as_str().into();
        }
        let mut response = HttpResponse::build(self.status);
        if let Some(wait) = self.retry_after {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            body["retry_after_ms"] = ms.into();
            response.insert_header((RETRY_AFTER, ms.div_ceil(1_000).to_string()));
        }
        response.json(body)
    }
}
