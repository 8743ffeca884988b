//! `POST /_matrix/client/v3/rooms/{roomId}/invite`: client-server API, "Inviting users".

use actix_web::web;
use engine::{Engine, Target};
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Invites a user by their ID.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let InvitationRecipient::UserId(invitee) = body.recipient else {
        return Err(ApiError::forbidden(
            "This server cannot invite by e-mail address or telephone number",
        ));
    };
    let target = Target {
        user_id: invitee.user_id,
        reason: invitee.reason,
    };
    engine
        .room(&body.room_id)
        .await?
        .invite(&requester, target)
        .await?;
    Ok(Reply(Response::new()))
}
