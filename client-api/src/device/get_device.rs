//! `GET /_matrix/client/v3/devices/{deviceId}`: client-server API, "Device management".

use actix_web::web;
use engine::Engine;
use ruma::api::client::device::get_device::v3::Request;

use super::Device;
use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with one device of the user.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Json<Device>, ApiError> {
    let device = engine
        .accounts()
        .device(&requester, &body.device_id)
        .await?;
    Ok(Json(device.into()))
}
