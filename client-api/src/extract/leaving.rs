//! The requests that a locked account may still send.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use engine::{Engine, Requester};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use ruma::api::IncomingRequest;

use super::{Asks, body, check_guest, drain, parse, shared, token};
use crate::error::ApiError;

/// A request of a signed-in account, locked or not: "Account locking" lets it log out.
pub(crate) struct Leaving<R> {
    /// Who asks.
    pub(crate) requester: Requester,
    /// What is asked.
    _body: R,
}

impl<R: IncomingRequest> Asks for Leaving<R> {
    type Request = R;
}

impl<R: IncomingRequest + 'static> FromRequest for Leaving<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move {
            let requester = match requester(&request).await {
                Ok(requester) => requester,
                Err(error) => {
                    drain(&mut payload).await;
                    return Err(error);
                }
            };
            let bytes_max = shared(&request)?.settings.public_body_bytes_max;
            let raw = body::read(&mut payload, &request, bytes_max).await?;
            let _body = parse::request(&request, &raw)?;
            Ok(Self { requester, _body })
        }
        .boxed_local()
    }
}

async fn requester(request: &HttpRequest) -> Result<Requester, ApiError> {
    let token = token::of(request, shared(request)?.settings.token_in_query)?;
    let token = token.ok_or_else(ApiError::missing_token)?;
    let engine = request
        .app_data::<web::Data<Engine>>()
        .ok_or_else(ApiError::failure)?;
    let requester = engine.accounts().authenticate_to_log_out(&token).await?;
    if requester.guest {
        check_guest(request)?;
    }
    Ok(requester)
}
