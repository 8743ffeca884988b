//! From an HTTP request to a typed one. In this order: token, rate limit, body, JSON, shape.
//!
//! The type of the extractor says who may ask: [`Public`] anyone, [`Authed`] a signed-in account, [`MaybeAuthed`] either,
//! but not with a bad token.

mod body;
mod leaving;
mod page;
mod parse;
mod place;
mod raw;
mod token;

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, web};
use engine::{Engine, Requester};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use ruma::api::IncomingRequest;

pub(crate) use self::{
    body::{check_json, drain, has_nul},
    leaving::Leaving,
    page::PublicPage,
    parse::{nul_in_body, wrong_shape},
    raw::{RawAuthed, RawPublic, Typeless, Untyped},
    token::of as token,
};
use crate::{Matched, Shared, error::ApiError, guests, limits::Class};

/// A request of a signed-in account.
pub(crate) struct Authed<R> {
    /// Who asks.
    pub(crate) requester: Requester,
    /// What is asked.
    pub(crate) body: R,
    /// The JSON of the body as it came, for what the typed form does not keep.
    pub(crate) raw: web::Bytes,
    /// The variables of the path, decoded, in its order.
    pub(crate) arguments: Vec<String>,
}

impl<R> Authed<R> {
    /// A variable of the path as it stood there; empty if there are not so many.
    pub(crate) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }
}

/// A request that needs no account; a token with it is not looked at.
pub(crate) struct Public<R> {
    /// What is asked.
    pub(crate) body: R,
}

/// A request that may come with a token or without; a bad token is refused all the same.
pub(crate) struct MaybeAuthed<R> {
    /// Who asks, if they said so.
    pub(crate) requester: Option<Requester>,
    /// What is asked.
    pub(crate) body: R,
}

/// The ruma request that an extractor reads: `routes` takes method and paths from it.
pub(crate) trait Asks {
    /// The request type.
    type Request: IncomingRequest;
}

impl<R: IncomingRequest> Asks for Authed<R> {
    type Request = R;
}
impl<R: IncomingRequest> Asks for Public<R> {
    type Request = R;
}
impl<R: IncomingRequest> Asks for MaybeAuthed<R> {
    type Request = R;
}
impl<A: Asks> Asks for (A,) {
    type Request = A::Request;
}
impl<T, A: Asks> Asks for (T, A) {
    type Request = A::Request;
}
impl<T, U, A: Asks> Asks for (T, U, A) {
    type Request = A::Request;
}

impl<T, U, V, A: Asks> Asks for (T, U, V, A) {
    type Request = A::Request;
}

impl<R: IncomingRequest + 'static> FromRequest for Authed<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            let (requester, raw) = authed(&request, &mut payload).await?;
            let body = parse::request(&request, &raw)?;
            Ok(Self {
                requester,
                body,
                raw,
                arguments: arguments(&request),
            })
        }
        .boxed_local()
    }
}

impl<R: IncomingRequest + 'static> FromRequest for Public<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            let raw = public(&request, &mut payload).await?;
            let body = parse::request(&request, &raw)?;
            Ok(Self { body })
        }
        .boxed_local()
    }
}

impl<R: IncomingRequest + 'static> FromRequest for MaybeAuthed<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            let shared = shared(&request)?;
            if token(&request, shared.settings.token_in_query)?.is_some() {
                let Authed {
                    requester, body, ..
                } = Authed::from_request(&request, &mut payload).await?;
                return Ok(Self {
                    requester: Some(requester),
                    body,
                });
            }
            let Public { body, .. } = Public::from_request(&request, &mut payload).await?;
            Ok(Self {
                requester: None,
                body,
            })
        }
        .boxed_local()
    }
}

/// Where a request comes from; the binary has seen through a proxy of our own. A connection without an address counts as
/// a local one.
fn address(request: &HttpRequest) -> IpAddr {
    let address = request.peer_addr().map(|address| address.ip());
    address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// What the client calls itself. Long names are cut, so that a list of devices stays a list.
fn user_agent(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get("user-agent")?;
    Some(header.to_str().ok()?.chars().take(300).collect())
}

/// Who asks, by the token of the request; counted against their limit.
///
/// # Errors
/// 401 without a token or with one that is not valid, 429 over the limit.
pub(crate) async fn requester(request: &HttpRequest) -> Result<Requester, ApiError> {
    let shared = shared(request)?;
    let found = token(request, shared.settings.token_in_query)?;
    let token = found.ok_or_else(ApiError::missing_token)?;
    let requester = engine(request)?.authenticate(&token).await?;
    if requester.guest {
        check_guest(request)?;
    }
    if let Some(class) = class(request) {
        shared
            .limits
            .take_for_user(class, &requester.user_id)
            .map_err(ApiError::limit_exceeded)?;
    }
    let address = address(request);
    engine(request)?
        .accounts()
        .seen(&requester, address, || user_agent(request));
    Ok(requester)
}

/// # Errors
/// 403: guests may not ask for this.
fn check_guest(request: &HttpRequest) -> Result<(), ApiError> {
    let extensions = request.extensions();
    let matched = extensions.get::<Matched>().ok_or_else(ApiError::failure)?;
    let arguments = matched.arguments.iter().map(|(_, value)| value.as_str());
    guests::check(request.method(), &matched.pattern, arguments)
}

/// The engine of this server.
pub(crate) fn engine(request: &HttpRequest) -> Result<&web::Data<Engine>, ApiError> {
    request.app_data().ok_or_else(ApiError::failure)
}

/// What all requests share.
pub(crate) fn shared(request: &HttpRequest) -> Result<web::Data<Shared>, ApiError> {
    request
        .app_data::<web::Data<Shared>>()
        .cloned()
        .ok_or_else(ApiError::failure)
}

fn class(request: &HttpRequest) -> Option<Class> {
    request
        .extensions()
        .get::<Matched>()
        .and_then(|matched| matched.class)
}

/// The variables of the path, decoded, in its order.
fn arguments(request: &HttpRequest) -> Vec<String> {
    let extensions = request.extensions();
    let arguments = extensions
        .get::<Matched>()
        .into_iter()
        .flat_map(|m| &m.arguments);
    arguments.map(|(_, value)| value.clone()).collect()
}

/// Who asks, and the body, of a request that needs an account.
async fn authed(
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<(Requester, web::Bytes), ApiError> {
    match requester(request).await {
        Ok(requester) => {
            let bytes_max = shared(request)?.settings.body_bytes_max;
            Ok((requester, body::read(payload, request, bytes_max).await?))
        }
        Err(error) => {
            drain(payload).await;
            Err(error)
        }
    }
}

/// The body of a request that needs no account.
async fn public(request: &HttpRequest, payload: &mut Payload) -> Result<web::Bytes, ApiError> {
    let shared = shared(request)?;
    let address = address(request);
    let class = class(request).unwrap_or(Class::Anonymous);
    if let Err(wait) = shared.limits.take_for_address(class, address) {
        drain(payload).await;
        return Err(ApiError::limit_exceeded(wait));
    }
    body::read(payload, request, shared.settings.public_body_bytes_max).await
}
