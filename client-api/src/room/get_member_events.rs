//! `GET /_matrix/client/v3/rooms/{roomId}/members`: client-server API, "Getting events for a room".

use actix_web::web;
use engine::{Engine, MembersAsk};
use ruma::api::client::membership::get_member_events::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the member events, now or `at` a token, chosen by membership.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let ask = MembersAsk {
        at: body.at,
        membership: body.membership.map(|membership| membership.to_string()),
        not_membership: body.not_membership.map(|membership| membership.to_string()),
    };
    let chunk = engine
        .room_to_read(&body.room_id)
        .await?
        .members(&requester, ask)
        .await?;
    Ok(Reply(Response::new(chunk)))
}
