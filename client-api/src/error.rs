//! Refusals and failures as HTTP: the one place where engine errors become statuses and Matrix error codes.
//! Client-server API, "API Standards".

use std::{borrow::Cow, fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{Method, StatusCode, header},
};
use engine::{
    Error,
    account::uia::{Challenge, Stage},
};
use serde_json::{Map, Value, json};
use spec::auth::Denied;

/// A refusal or failure as the client sees it: status, error code, a sentence for people, and the code's extra keys.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    /// The whole body; boxed because errors travel in every `Result`.
    body: Box<Map<String, Value>>,
    headers: Vec<(header::HeaderName, String)>,
}

impl ApiError {
    /// An error with this status, code and sentence.
    #[must_use]
    pub fn new(status: StatusCode, errcode: &str, sentence: impl Into<Cow<'static, str>>) -> Self {
        let mut body = Map::new();
        body.insert("errcode".to_owned(), errcode.into());
        body.insert("error".to_owned(), sentence.into().into_owned().into());
        Self {
            status,
            body: Box::new(body),
            headers: Vec::new(),
        }
    }

    /// The same error with one more key in its body.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.insert(key.to_owned(), value.into());
        self
    }

    /// A body that is the given object, for answers that are no errors in the usual form (interactive authentication).
    #[must_use]
    pub fn from_body(status: StatusCode, body: Map<String, Value>) -> Self {
        Self {
            status,
            body: Box::new(body),
            headers: Vec::new(),
        }
    }

    /// 400 `M_BAD_JSON`: JSON of the wrong shape.
    #[must_use]
    pub fn bad_json(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", sentence)
    }

    /// 400 `M_NOT_JSON`: no UTF-8, or no JSON.
    #[must_use]
    pub fn not_json(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", sentence)
    }

    /// 400 `M_INVALID_PARAM`: a value that makes no sense.
    #[must_use]
    pub fn invalid_param(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", sentence)
    }

    /// 400 `M_MISSING_PARAM`.
    #[must_use]
    pub fn missing_param(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", sentence)
    }

    /// 403 `M_FORBIDDEN`.
    #[must_use]
    pub fn forbidden(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", sentence)
    }

    /// 403 `M_GUEST_ACCESS_FORBIDDEN`: not for guests.
    #[must_use]
    pub fn guest_access_forbidden(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_GUEST_ACCESS_FORBIDDEN", sentence)
    }

    /// 404 `M_NOT_FOUND`: the endpoint exists, the thing does not.
    #[must_use]
    pub fn not_found(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", sentence)
    }

    /// 413 `M_TOO_LARGE`.
    #[must_use]
    pub fn too_large(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", sentence)
    }

    /// 401 `M_MISSING_TOKEN`.
    #[must_use]
    pub fn missing_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "M_MISSING_TOKEN",
            "This request needs an access token: send it as \"Authorization: Bearer <token>\"",
        )
    }

    /// 401 `M_UNKNOWN_TOKEN`.
    #[must_use]
    pub fn unknown_token(soft_logout: bool) -> Self {
        let sentence = if soft_logout {
            "The access token has expired: refresh it or log in again"
        } else {
            "The access token is not known here: log in again"
        };
        Self::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", sentence)
            .with("soft_logout", soft_logout)
    }

    /// 429 `M_LIMIT_EXCEEDED`, with `Retry-After` in whole seconds (rounded up) and `retry_after_ms`.
    #[must_use]
    pub fn limit_exceeded(retry_after: Duration) -> Self {
        let retry_after_ms = u64::try_from(retry_after.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "M_LIMIT_EXCEEDED",
            "Too many requests: wait as long as Retry-After says",
        )
        .with("retry_after_ms", retry_after_ms);
        error.headers.push((
            header::RETRY_AFTER,
            retry_after_ms.div_ceil(1000).to_string(),
        ));
        error
    }

    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    #[must_use]
    pub fn unrecognized() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "M_UNRECOGNIZED",
            "This server has no such endpoint",
        )
    }

    /// 405 `M_UNRECOGNIZED`: the path exists, with other methods.
    #[must_use]
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
        let names = names.join(", ");
        let mut error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "M_UNRECOGNIZED",
            format!("This endpoint answers only to {names}"),
        );
        error.headers.push((header::ALLOW, names));
        error
    }

    /// 500 `M_UNKNOWN`. The cause, with its sources, goes to the log and never to the client.
    #[must_use]
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let mut causes = cause.to_string();
        let mut source = cause.source();
        while let Some(inner) = source {
            causes.push_str(": ");
            causes.push_str(&inner.to_string());
            source = inner.source();
        }
        tracing::error!(cause = %causes, "a request failed");
        Self::failure()
    }

    /// The 500 without a word to the log: for callers that have logged already.
    pub(crate) fn failure() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "M_UNKNOWN",
            "The server failed to do this. It is not your fault; its log says more",
        )
    }

    /// The error code, empty for bodies without one.
    #[must_use]
    pub fn errcode(&self) -> &str {
        self.body
            .get("errcode")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// The HTTP response.
    #[must_use]
    pub fn into_response(self) -> HttpResponse {
        self.error_response()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.errcode())
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut builder = HttpResponse::build(self.status);
        builder.insert_header((header::CONTENT_TYPE, "application/json"));
        for (name, value) in &self.headers {
            builder.insert_header((name.clone(), value.as_str()));
        }
        builder.body(json!(self.body).to_string())
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let bad_request = StatusCode::BAD_REQUEST;
        match error {
            Error::NotFound(subject) => Self::not_found(subject.sentence()),
            Error::Forbidden(why) => Self::forbidden(why),
            // The author can mend it, whatever their own level is.
            Error::Denied(
                why @ (Denied::LevelsMalformed
                | Denied::LevelsUsersMalformed
                | Denied::LevelsNameCreator
                | Denied::StateKeyMalformed),
            ) => Self::bad_json(why.sentence()),
            Error::Denied(why) => Self::forbidden(why.sentence()),
            Error::UnknownToken { soft_logout } => Self::unknown_token(soft_logout),
            Error::BadJson(why) => Self::bad_json(why),
            Error::InvalidParam(why) => Self::invalid_param(why),
            Error::UnknownPos => Self::new(
                StatusCode::BAD_REQUEST,
                "M_UNKNOWN_POS",
                "This \"pos\" is not known (any more): begin anew without one",
            ),
            Error::MissingParam(why) => Self::missing_param(why),
            Error::TooLarge(why) => Self::too_large(why),
            Error::KeyTooLarge(why) => Self::new(bad_request, "M_KEY_TOO_LARGE", why),
            Error::ProfileTooLarge(why) => Self::new(bad_request, "M_PROFILE_TOO_LARGE", why),
            Error::UserInUse => Self::new(bad_request, "M_USER_IN_USE", "This user name is taken"),
            Error::EmailInUse => Self::new(
                bad_request,
                "M_THREEPID_IN_USE",
                "This e-mail address belongs to another account",
            ),
            Error::EmailNotFound => Self::new(
                bad_request,
                "M_THREEPID_NOT_FOUND",
                "Your account has no such e-mail address",
            ),
            Error::InvalidUsername(why) => Self::new(bad_request, "M_INVALID_USERNAME", why),
            Error::WeakPassword(why) => Self::new(bad_request, "M_WEAK_PASSWORD", why),
            Error::UserDeactivated => Self::new(
                StatusCode::FORBIDDEN,
                "M_USER_DEACTIVATED",
                "This account has been deactivated",
            ),
            Error::UserLocked => Self::new(
                StatusCode::UNAUTHORIZED,
                "M_USER_LOCKED",
                "This account is locked: ask the administrator of the server",
            )
            .with("soft_logout", true),
            Error::UserSuspended => Self::new(
                StatusCode::FORBIDDEN,
                "M_USER_SUSPENDED",
                "This account is suspended and may only read",
            ),
            Error::Interactive(challenge) => interactive(&challenge),
            Error::RoomInUse => Self::new(bad_request, "M_ROOM_IN_USE", "This room alias is taken"),
            Error::AliasExists => Self::new(
                StatusCode::CONFLICT,
                "M_UNKNOWN",
                "This room alias exists already",
            ),
            Error::GuestAccessForbidden(why) => Self::guest_access_forbidden(why),
            Error::InviteBlocked => Self::new(
                StatusCode::FORBIDDEN,
                "M_INVITE_BLOCKED",
                "This person does not want to be invited",
            ),
            Error::CannotLeaveNotices => Self::new(
                StatusCode::FORBIDDEN,
                "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM",
                "The invite to the notices of this server cannot be rejected; once in the room, you may leave it",
            ),
            Error::UnsupportedRoomVersion(version) => Self::new(
                bad_request,
                "M_UNSUPPORTED_ROOM_VERSION",
                format!("This server cannot create rooms of version \"{version}\""),
            ),
            Error::IncompatibleRoomVersion(version) => Self::new(
                bad_request,
                "M_INCOMPATIBLE_ROOM_VERSION",
                format!("The room has the version \"{version}\", which this server does not know"),
            )
            .with("room_version", version),
            Error::UnableToAuthoriseJoin => Self::new(
                bad_request,
                "M_UNABLE_TO_AUTHORISE_JOIN",
                "This server does not know the rooms whose members may join",
            ),
            Error::UnableToGrantJoin => Self::new(
                bad_request,
                "M_UNABLE_TO_GRANT_JOIN",
                "Nobody of this server may let you in",
            ),
            Error::InvalidRoomState(why) => Self::new(bad_request, "M_INVALID_ROOM_STATE", why),
            Error::BadAlias(why) => Self::new(bad_request, "M_BAD_ALIAS", why),
            Error::BadState(why) => Self::new(bad_request, "M_BAD_STATE", why),
            Error::DuplicateAnnotation => Self::new(
                bad_request,
                "M_DUPLICATE_ANNOTATION",
                "You have annotated this event in the same way already",
            ),
            Error::MethodNotAllowed(why) => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", why)
            }
            Error::Policy {
                status,
                errcode,
                error,
            }
            | Error::Elsewhere {
                status,
                errcode,
                error,
            } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
                Self::new(status, &errcode, error)
            }
            Error::ServerNotTrusted(server) => Self::new(
                StatusCode::FORBIDDEN,
                "M_SERVER_NOT_TRUSTED",
                format!("This server does not ask the identity server {server}"),
            ),
            Error::Identity {
                status,
                errcode,
                error,
            } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
                Self::new(status, &errcode, error)
            }
            Error::Unreachable(why) => Self::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", why),
            Error::NotInThread => crate::room::thread_subscription::not_in_thread(),
            Error::Unsubscribed => crate::room::thread_subscription::unsubscribed(),
            Error::DelayTooLong { max_ms } => crate::room::delay::too_long(max_ms),
            Error::Refused(why) => Self::new(bad_request, "M_UNKNOWN", why),
            Error::LimitExceeded { retry_after } => Self::limit_exceeded(retry_after),
            Error::Store(_) | Error::Internal(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::failure()
            }
        }
    }
}

/// The 401 that asks for more steps: "User-Interactive Authentication API".
fn interactive(challenge: &Challenge) -> ApiError {
    let names = |stages: &[Stage]| stages.iter().map(|stage| stage.name()).collect::<Vec<_>>();
    let flow = |stages: &Vec<Stage>| json!({ "stages": names(stages) });
    let mut body = Map::new();
    body.insert(
        "flows".to_owned(),
        challenge.flows.iter().map(flow).collect(),
    );
    // Always there: older clients look into it without asking whether it is.
    body.insert("params".to_owned(), json!({}));
    body.insert("session".to_owned(), challenge.session.clone().into());
    if !challenge.completed.is_empty() {
        body.insert("completed".to_owned(), names(&challenge.completed).into());
    }
    if let Some(refusal) = &challenge.refusal {
        body.insert("errcode".to_owned(), "M_FORBIDDEN".into());
        body.insert("error".to_owned(), refusal.clone().into());
    }
    ApiError::from_body(StatusCode::UNAUTHORIZED, body)
}
