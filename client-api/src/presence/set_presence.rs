//! `PUT /_matrix/client/v3/presence/{userId}/status`: client-server API, "Presence".

use actix_web::web;
use engine::{Engine, PresenceState};
use ruma::{
    api::client::presence::set_presence::v3::{Request, Response},
    presence::PresenceState as Said,
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Says what the user is.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    if body.user_id != requester.user_id {
        return Err(ApiError::forbidden(
            "You can only say what you are yourself",
        ));
    }
    let state = parse(&body.presence)?;
    engine.set_presence(&requester, state, body.status_msg)?;
    Ok(Reply(Response::new()))
}

/// What somebody says that they are.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: nothing that anybody is.
pub(crate) fn parse(said: &Said) -> Result<PresenceState, ApiError> {
    PresenceState::parse(said.as_str()).ok_or_else(|| {
        ApiError::invalid_param("\"presence\" is \"online\", \"unavailable\" or \"offline\"")
    })
}
