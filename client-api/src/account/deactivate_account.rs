//! `POST /_matrix/client/v3/account/deactivate`: client-server API, "Account deactivation".

use actix_web::web;
use engine::{Engine, account::Erase};
use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus,
    deactivate::v3::{Request, Response},
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
    #[serde(default)]
    erase: bool,
}

/// Closes the account, once the password was given. There is nothing to unbind: this server knows no email addresses.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let body: Body = asked.ask.json()?;
    let erase = match body.erase {
        true => Erase::Content,
        false => Erase::Nothing,
    };
    engine
        .deactivate(&asked.requester, body.auth.map(Into::into), erase)
        .await?;
    Ok(Reply(Response::new(ThirdPartyIdRemovalStatus::NoSupport)))
}
