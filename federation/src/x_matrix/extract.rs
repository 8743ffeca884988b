//! The extractor: a handler that takes [`Signed`] hears only from servers that are who they say.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use ruma::OwnedServerName;
use spec::json::{Strictness, Value, parse};

use super::{Refused, RemoteKeys, claim, verify};
use crate::body::read;
use crate::{ApiError, Shared};

/// The largest body of a request between servers, in bytes: a transaction of 50 events at 64 KiB
/// and 100 ephemeral ones, with room to spare for large `send_join` bodies.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

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
            let body = read(payload, BODY_BYTES_MAX).await?;
            check(&request, &body).await
        })
    }
}

async fn check(request: &HttpRequest, body: &Bytes) -> Result<Signed, ApiError> {
    // Both are registered by `Federation`; without them nobody can be believed.
    let (Some(shared), Some(remote)) = (
        request.app_data::<web::Data<Shared>>(),
        request.app_data::<web::Data<Arc<dyn RemoteKeys>>>(),
    ) else {
        return Err(Refused::Missing.into());
    };
    let headers = request
        .headers()
        .get_all(AUTHORIZATION)
        .filter_map(|value| value.to_str().ok());
    let claim = claim(headers, shared.keys.own().current().server())?;
    if !shared.servers.allow(&claim.origin) {
        return Err(ApiError::forbidden("This server does not talk to yours"));
    }
    let content = match body.is_empty() {
        true => None,
        false => Some(parse(body, Strictness::Lenient)?),
    };
    let key = remote.key(&claim.origin, &claim.key).await;
    let uri = request
        .uri()
        .path_and_query()
        .map_or("/", |uri| uri.as_str());
    let now_ms = shared.clock.now_ms();
    let origin = verify(
        &claim,
        request.method().as_str(),
        uri,
        content.as_ref(),
        key,
        now_ms,
    )?;
    shared.outbound.heard_from(&origin);
    shared.take_turn(&origin).map_err(ApiError::too_many)?;
    Ok(Signed { origin, content })
}
