//! `PUT /_matrix/client/v3/profile/{userId}/{keyName}`: client-server API, "Profiles".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedUserId,
    api::client::profile::set_profile_field::v3::{Request, Response},
};
use serde_json::{Map, Value};

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Reply,
};

/// Sets one field of one's own profile. The body is read as it is: ruma takes no `null`, with which older clients
/// remove a name.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let user_id: OwnedUserId = asked.ask.argument(0)?;
    let field: String = asked.ask.argument(1)?;
    let mut body: Map<String, Value> = asked.ask.json()?;
    let value = body.remove(&field).ok_or_else(|| {
        ApiError::missing_param(format!(
            "The body has to have the key \"{field}\", as the path does"
        ))
    })?;
    engine
        .set_profile_field(&asked.requester, &user_id, &field, value)
        .await?;
    Ok(Reply(Response::new()))
}
