//! Bodies of requests, within bounds.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

use crate::ApiError;

/// The largest body of a request that nobody signed, in bytes.
const UNSIGNED_BYTES_MAX: usize = 1024 * 1024;

/// The body of a request that needs no signature.
pub(crate) struct Unsigned(pub(crate) Bytes);

impl FromRequest for Unsigned {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        Box::pin(async move { Ok(Self(read(payload, UNSIGNED_BYTES_MAX).await?)) })
    }
}

/// All of a body.
///
/// # Errors
/// It has more than `bytes_max` bytes, or breaks off.
pub(crate) async fn read(mut payload: Payload, bytes_max: usize) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => ApiError::too_large(bytes_max),
            _ => ApiError::incomplete(),
        })?;
        if body.len() + chunk.len() > bytes_max {
            return Err(ApiError::too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
