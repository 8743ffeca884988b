//! `POST /_matrix/client/v3/delete_devices`: client-server API, "Device management".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedDeviceId,
    api::client::device::delete_devices::v3::{Request, Response},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    interactive::Auth,
    reply::Reply,
};

#[derive(Deserialize)]
struct Body {
    auth: Option<Auth>,
    devices: Option<Vec<OwnedDeviceId>>,
}

/// Deletes devices of the user, once the password was given.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let body: Body = asked.ask.json()?;
    let devices = body
        .devices
        .ok_or_else(|| ApiError::missing_param("\"devices\" is missing in the body"))?;
    let attempt = body.auth.map(Into::into);
    engine
        .accounts()
        .delete_devices(&asked.requester, devices, attempt)
        .await?;
    Ok(Reply(Response::new()))
}
