//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`: client-server API, "OpenID".

use actix_web::web;
use engine::Engine;
use ruma::{
    api::client::account::request_openid_token::v3::{Request, Response},
    authentication::TokenType,
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with a token by which a third party learns who asks.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let made = engine.accounts().openid_token(&requester, &body.user_id);
    let (token, lifetime) = made.await?;
    let server_name = engine.server_name().to_owned();
    let token = token.into_inner();
    Ok(Reply(Response::new(
        token,
        TokenType::Bearer,
        server_name,
        lifetime,
    )))
}
