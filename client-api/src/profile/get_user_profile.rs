//! `GET /_matrix/client/v3/profile/{userId}`: client-server API, "Profiles".

use actix_web::web;
use engine::Engine;
use ruma::api::client::profile::get_profile::v3::{Request, Response};

use crate::{error::ApiError, extract::MaybeAuthed, reply::Reply};

/// Answers with all fields of a profile, to anybody, as the specification and Synapse have it.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    MaybeAuthed { body, .. }: MaybeAuthed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let fields = engine.profile(&body.user_id).await?;
    Ok(Reply(fields.into_iter().collect()))
}
