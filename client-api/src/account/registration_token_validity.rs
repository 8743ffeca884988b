//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`: client-server API, "Token-authenticated
//! registration".

use actix_web::web;
use engine::Engine;
use ruma::api::client::account::check_registration_token_validity::v1::{Request, Response};

use crate::{error::ApiError, extract::Public, reply::Reply};

/// Answers whether a registration could begin with a token.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Public { body, .. }: Public<Request>,
) -> Result<Reply<Response>, ApiError> {
    let valid = engine
        .accounts()
        .registration_token_is_valid(&body.token)
        .await?;
    Ok(Reply(Response::new(valid)))
}
