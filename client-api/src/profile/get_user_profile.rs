//! `GET /_matrix/client/v3/profile/{userId}`: client-server API, "Profiles".

use actix_web::web;
use engine::Engine;
use ruma::api::client::profile::get_profile::v3::{Request, Response};

use crate::{error::ApiError, extract::Public, reply::Reply};

/// Answers with all fields of a profile.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Public { body, .. }: Public<Request>,
) -> Result<Reply<Response>, ApiError> {
    let fields = engine.accounts().profile(&body.user_id).await?;
    Ok(Reply(fields.into_iter().collect()))
}
