//! `GET /_matrix/client/v3/devices`: client-server API, "Device management".

use actix_web::web;
use engine::Engine;
use ruma::api::client::device::get_devices::v3::Request;
use serde_json::{Value, json};

use super::Device;
use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with all devices of the user.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let devices = engine.accounts().devices(&requester).await?;
    let devices: Vec<Device> = devices.into_iter().map(Device::from).collect();
    Ok(Json(json!({ "devices": devices })))
}
