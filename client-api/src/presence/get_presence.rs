//! `GET /_matrix/client/v3/presence/{userId}/status`: client-server API, "Presence".

use std::time::Duration;

use actix_web::web;
use engine::Engine;
use ruma::{
    api::client::presence::get_presence::v3::{Request, Response},
    presence::PresenceState,
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with what a user is.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let status = engine.presence(&requester, &body.user_id).await?;
    let mut response = Response::new(PresenceState::from(status.state.as_str()));
    response.status_msg = status.status_msg;
    response.currently_active = status.currently_active;
    let ago = |ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    response.last_active_ago = status.last_active_ago_ms.map(ago);
    Ok(Reply(response))
}
