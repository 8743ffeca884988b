//! `POST /_matrix/client/v3/refresh`: client-server API, "Refreshing access tokens".

use actix_web::web;
use engine::Engine;
use ruma::api::client::session::refresh_token::v3::{Request, Response};

use super::login::milliseconds;
use crate::{error::ApiError, extract::Public, reply::Reply};

/// Exchanges a refresh token for new tokens of the same device.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Public { body, .. }: Public<Request>,
) -> Result<Reply<Response>, ApiError> {
    let login = engine.accounts().refresh(&body.refresh_token).await?;
    let mut response = Response::new(login.access_token.into_inner());
    response.refresh_token = login.refresh_token.map(|token| token.into_inner());
    response.expires_in_ms = login.expires_in_ms.map(milliseconds);
    Ok(Reply(response))
}
