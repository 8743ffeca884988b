//! `GET /_matrix/client/v3/profile/{userId}`: client-server API, "Profiles".

use actix_web::web;
use engine::Engine;
use ruma::api::client::profile::get_profile::v3::{Request, Response};

use crate::{error::ApiError, extract::MaybeAuthed, reply::Reply};

/// Answers with all fields of a profile. To who is signed in also of users of other servers, so that nobody unknown has
/// this server ask others.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    MaybeAuthed { requester, body }: MaybeAuthed<Request>,
) -> Result<Reply<Response>, ApiError> {
    if requester.is_none() && !engine.accounts().is_ours(&body.user_id) {
        return Err(ApiError::missing_token());
    }
    let fields = engine.profile(&body.user_id).await?;
    Ok(Reply(fields.into_iter().collect()))
}
