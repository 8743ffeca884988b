//! `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`: client-server API, "Profiles".

use actix_web::web;
use engine::Engine;
use ruma::api::client::profile::delete_profile_field::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Removes one field of one's own profile.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let field = body.field.to_string();
    engine
        .delete_profile_field(&requester, &body.user_id, &field)
        .await?;
    Ok(Reply(Response::new()))
}
