//! `GET /_matrix/client/v3/register/available`: client-server API, "Legacy account registration".

use actix_web::web;
use engine::Engine;
use ruma::api::client::account::get_username_availability::v3::{Request, Response};

use crate::{error::ApiError, extract::Public, reply::Reply};

/// Answers whether somebody could register under a name.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Public { body, .. }: Public<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine.accounts().check_available(&body.username).await?;
    Ok(Reply(Response::new(true)))
}
