//! `POST /_matrix/client/v3/rooms/{roomId}/invite`: client-server API, "Inviting users".

use actix_web::web;
use engine::{Engine, Target, third_party::ThirdParty};
use ruma::api::client::membership::{
    Invite3pid,
    invite_user::v3::{InvitationRecipient, Request, Response},
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Invites a user by their ID, or somebody by an address.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let room = engine.room(&body.room_id).await?;
    match body.recipient {
        InvitationRecipient::UserId(invitee) => {
            let target = Target {
                user_id: invitee.user_id,
                reason: invitee.reason,
            };
            room.invite(&requester, target).await?;
        }
        InvitationRecipient::ThirdPartyId(invitee) => {
            room.invite_third_party(&requester, third_party(invitee))
                .await?;
        }
        _ => return Err(ApiError::bad_json("The body invites nobody")),
    }
    Ok(Reply(Response::new()))
}

/// Somebody who is known by an address, as the engine calls them.
pub(super) fn third_party(invitee: Invite3pid) -> ThirdParty {
    ThirdParty {
        id_server: invitee.id_server,
        id_access_token: invitee.id_access_token,
        medium: invitee.medium.to_string(),
        address: invitee.address,
    }
}
