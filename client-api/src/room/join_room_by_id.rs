//! `POST /_matrix/client/v3/rooms/{roomId}/join`: client-server API, "Joining rooms".

use actix_web::web;
use engine::Engine;
use ruma::api::client::membership::join_room_by_id::v3::{Request, Response};
use spec::json::Object;

use super::content;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Joins a room and answers with its ID.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let extra = extra_content(&raw)?;
    engine
        .join(&requester, &body.room_id, Vec::new(), body.reason, extra)
        .await?;
    Ok(Reply(Response::new(body.room_id)))
}

/// The keys of a join's body that go into the content of the member event: all that mean nothing to the server.
pub(super) fn extra_content(raw: &[u8]) -> Result<Object, ApiError> {
    if raw.is_empty() {
        return Ok(Object::new());
    }
    let mut extra = content::body(raw)?;
    for key in [
        "membership",
        "reason",
        "third_party_signed",
        "third_party_invite",
        "join_authorised_via_users_server",
    ] {
        extra.remove(key);
    }
    Ok(extra)
}
