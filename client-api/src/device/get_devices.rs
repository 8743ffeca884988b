//! `GET /_matrix/client/v3/devices`: client-server API, "Device management".

use actix_web::web;
use engine::Engine;
use ruma::api::client::device::get_devices::v3::{Request, Response};

use super::told;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with all devices of the user.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let devices = engine.accounts().devices(&requester).await?;
    Ok(Reply(Response::new(
        devices.into_iter().map(told).collect(),
    )))
}
