//! `POST /_matrix/client/v3/logout`: client-server API, "Logout".

use actix_web::web;
use engine::Engine;
use ruma::api::client::session::logout::v3::{Request, Response};

use crate::{error::ApiError, extract::Leaving, reply::Reply};

/// Ends the session that asks, and deletes its device.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Leaving { requester, .. }: Leaving<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine.accounts().log_out(&requester).await?;
    Ok(Reply(Response::new()))
}
