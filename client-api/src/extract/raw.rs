//! Extractors for the endpoints that ruma has no request type for.

use std::{fmt::Display, marker::PhantomData, str::FromStr};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use engine::Requester;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use ruma::api::IncomingRequest;
use serde::de::DeserializeOwned;

use super::{Asks, arguments, authed, body::has_nul, parse, public};
use crate::error::ApiError;

/// A request of a signed-in account, not yet typed.
pub(crate) struct RawAuthed {
    /// Who asks.
    pub(crate) requester: Requester,
    /// Path, query and body.
    pub(crate) ask: Untyped,
}

/// A request that needs no account, not yet typed.
pub(crate) struct RawPublic {
    /// Path, query and body.
    pub(crate) ask: Untyped,
}

/// A request that ruma has a type for, which is of use for its method and paths, but not for its body.
pub(crate) struct Typeless<R, A> {
    /// The request.
    pub(crate) asked: A,
    of: PhantomData<fn() -> R>,
}

impl<R: IncomingRequest, A> Asks for Typeless<R, A> {
    type Request = R;
}

impl<R: 'static, A: FromRequest<Error = ApiError> + 'static> FromRequest for Typeless<R, A> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let asked = A::from_request(request, payload);
        async move {
            Ok(Self {
                asked: asked.await?,
                of: PhantomData,
            })
        }
        .boxed_local()
    }
}

/// What a request says, as text.
pub(crate) struct Untyped {
    /// The variables of the path, decoded, in its order.
    pub(crate) arguments: Vec<String>,
    /// The query, still encoded.
    pub(crate) query: String,
    /// The body: empty, or a JSON object.
    pub(crate) body: web::Bytes,
}

impl Untyped {
    fn of(request: &HttpRequest, body: web::Bytes) -> Self {
        Self {
            arguments: arguments(request),
            query: request.query_string().to_owned(),
            body,
        }
    }

    /// The variable of the path at `index`, as `T`.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM`: it is no `T`, or contains a NUL character.
    pub(crate) fn argument<T: FromStr<Err: Display>>(&self, index: usize) -> Result<T, ApiError> {
        let text = self.arguments.get(index).map_or("", String::as_str);
        if text.contains('\0') {
            return Err(ApiError::invalid_param("The path contains a NUL character"));
        }
        text.parse().map_err(|error| {
            let shown: String = text.chars().take(80).collect();
            ApiError::invalid_param(format!("\"{shown}\" in the path does not fit: {error}"))
        })
    }

    /// The body as `T`; an empty one counts as `{}`.
    ///
    /// # Errors
    /// 400 `M_BAD_JSON`, with the name of the field that does not fit, or for NUL characters.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body
        };
        if has_nul(body) {
            return Err(parse::nul_in_body());
        }
        serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_json(parse::wrong_shape(body, &error)))
    }

    /// The query as `T`.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM`.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        web::Query::from_query(&self.query)
            .map(web::Query::into_inner)
            .map_err(|error| {
                ApiError::invalid_param(format!("A query parameter does not fit: {error}"))
            })
    }
}

impl FromRequest for RawAuthed {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            let (requester, body) = authed(&request, &mut payload).await?;
            Ok(Self {
                requester,
                ask: Untyped::of(&request, body),
            })
        }
        .boxed_local()
    }
}

impl FromRequest for RawPublic {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            let body = public(&request, &mut payload).await?;
            Ok(Self {
                ask: Untyped::of(&request, body),
            })
        }
        .boxed_local()
    }
}
