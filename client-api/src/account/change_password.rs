//! `POST /_matrix/client/v3/account/password`: client-server API, "Password management".

use actix_web::web;
use engine::{Engine, account::ChangePassword};
use ruma::api::client::account::change_password::v3::{Request, Response};
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
    new_password: Option<String>,
    logout_devices: Option<bool>,
}

/// Changes the password, once the old one was given.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let body: Body = asked.ask.json()?;
    let new_password = body
        .new_password
        .ok_or_else(|| ApiError::missing_param("\"new_password\" is missing in the body"))?;
    let ask = ChangePassword {
        new_password: new_password.into(),
        logout_devices: body.logout_devices.unwrap_or(true),
        attempt: body.auth.map(Into::into),
    };
    engine
        .accounts()
        .change_password(&asked.requester, ask)
        .await?;
    Ok(Reply(Response::new()))
}
