//! `DELETE /_matrix/client/v3/devices/{deviceId}`: client-server API, "Device management".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedDeviceId,
    api::client::device::delete_device::v3::{Request, Response},
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
}

/// Deletes one device of the user, once the password was given.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let device_id: OwnedDeviceId = asked.ask.argument::<String>(0)?.into();
    let body: Body = asked.ask.json()?;
    let attempt = body.auth.map(Into::into);
    engine
        .accounts()
        .delete_devices(&asked.requester, vec![device_id], attempt)
        .await?;
    Ok(Reply(Response::new()))
}
