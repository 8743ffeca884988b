//! `POST /_matrix/client/v3/logout/all`: client-server API, "Logout".

use actix_web::web;
use engine::Engine;
use ruma::api::client::session::logout_all::v3::{Request, Response};

use crate::{error::ApiError, extract::Leaving, reply::Reply};

/// Ends all sessions of the user, and deletes their devices.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Leaving { requester, .. }: Leaving<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine.accounts().log_out_everywhere(&requester).await?;
    Ok(Reply(Response::new()))
}
