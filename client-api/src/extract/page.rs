//! Extractor for the few pages that people open in a browser.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::{FutureExt as _, future::LocalBoxFuture};

use super::{address, class, drain, shared};
use crate::{error::ApiError, limits::Class};

/// A request of a browser without an account. Its body says nothing and is thrown away.
pub(crate) struct PublicPage {
    /// The query, still encoded.
    pub(crate) query: String,
}

impl FromRequest for PublicPage {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            drain(&mut payload).await;
            let shared = shared(&request)?;
            let address = address(&request);
            let class = class(&request).unwrap_or(Class::Anonymous);
            shared
                .limits
                .take_for_address(class, address)
                .map_err(ApiError::limit_exceeded)?;
            Ok(Self {
                query: request.query_string().to_owned(),
            })
        }
        .boxed_local()
    }
}
