//! The extractor: a handler that takes [`Signed`] hears only from servers that are who they say.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use ruma::OwnedServerName;
use spec::json::{Strictness, Value, parse};
use spec::sign::XMatrix;

use super::{Refused, RemoteKeys, claims, verify};
use crate::body::read;
use crate::inbound::Room;
use crate::{ApiError, Shared};

/// The largest body of a request between servers, in bytes: a transaction of 50 events at 64 KiB
/// and 100 ephemeral ones, with room to spare for large `send_join` bodies.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Larger bodies are read and checked on a thread that serves nobody, in bytes: it takes milliseconds.
const SERVED_BYTES_MAX: usize = 64 * 1024;

/// A request whose signature was checked.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The server that signed it.
    pub origin: OwnedServerName,
    /// The body; `None` for requests without one. Lenient JSON: it may hold events of old rooms.
    pub content: Option<Value>,
}

impl FromRequest for Signed {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let (shared, remote) = shared(&request)?;
            // Before the body is read: whoever is no server, or one that this one does not talk to, sends it in vain.
            let claims = claims_of(&request, shared)?;
            check_lists(&request, &claims).await?;
            let body = read(payload, BODY_BYTES_MAX).await?;
            check(&request, shared, remote, claims, body).await
        })
    }
}

type Registered<'a> = (&'a web::Data<Shared>, &'a web::Data<Arc<dyn RemoteKeys>>);

/// Both are registered by `Federation`; without them nobody can be believed.
fn shared(request: &HttpRequest) -> Result<Registered<'_>, Refused> {
    let shared = request.app_data().zip(request.app_data());
    shared.ok_or(Refused::Missing)
}

fn claims_of(request: &HttpRequest, shared: &Shared) -> Result<Vec<XMatrix>, ApiError> {
    let headers = request
        .headers()
        .get_all(AUTHORIZATION)
        .filter_map(|value| value.to_str().ok());
    let claims = claims(headers, shared.keys.own().current().server())?;
    if claims
        .iter()
        .any(|claim| !shared.servers.allow(&claim.origin))
    {
        return Err(ApiError::forbidden("This server does not talk to yours"));
    }
    Ok(claims)
}

/// Refuses servers that a policy list shuts out.
async fn check_lists(request: &HttpRequest, claims: &[XMatrix]) -> Result<(), ApiError> {
    let engine: &web::Data<Room> = request.app_data().ok_or(Refused::Missing)?;
    if !engine.follows_lists() {
        return Ok(());
    }
    // All claims are of one server.
    let Some(origin) = claims.first().map(|claim| claim.origin.clone()) else {
        return Ok(());
    };
    let heard = engine.ask(move |inbound| async move { inbound.hears(&origin).await });
    match heard.await? {
        true => Ok(()),
        false => Err(ApiError::forbidden("This server does not talk to yours")),
    }
}

async fn check(
    request: &HttpRequest,
    shared: &Shared,
    remote: &Arc<dyn RemoteKeys>,
    claims: Vec<XMatrix>,
    body: Bytes,
) -> Result<Signed, ApiError> {
    let bytes = body.len();
    let mut content = match body.is_empty() {
        true => None,
        false => Some(aside(bytes, move || parse(&body, Strictness::Lenient)).await??),
    };
    let uri = request.uri().path_and_query();
    let uri = uri.map_or("/", |uri| uri.as_str());
    let mut refused = Refused::Missing;
    for claim in claims {
        let key = remote.key(&claim.origin, &claim.key).await;
        let now_ms = shared.clock.now_ms();
        let (method, uri) = (request.method().clone(), uri.to_owned());
        let verified;
        (verified, content) = aside(bytes, move || {
            let content_ref = content.as_ref();
            let verified = verify(&claim, method.as_str(), &uri, content_ref, key, now_ms);
            (verified, content)
        })
        .await?;
        match verified {
            Ok(origin) => {
                shared.outbound.heard_from(&origin);
                shared.client.heard_from(&origin);
                shared.take_turn(&origin).map_err(ApiError::too_many)?;
                return Ok(Signed { origin, content });
            }
            Err(why) => refused = why,
        }
    }
    Err(refused.into())
}

/// Works on a body of so many bytes, elsewhere if they are many.
async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if bytes <= SERVED_BYTES_MAX {
        return Ok(work());
    }
    // The panic hook has logged it with its place.
    web::block(work).await.map_err(|_| ApiError::failure())
}
