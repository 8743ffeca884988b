//! `PUT /_matrix/client/v3/devices/{deviceId}`: client-server API, "Device management".

use actix_web::web;
use engine::Engine;
use ruma::api::client::device::update_device::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Gives a device of the user another name.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine
        .accounts()
        .rename_device(&requester, &body.device_id, body.display_name)
        .await?;
    Ok(Reply(Response::new()))
}
