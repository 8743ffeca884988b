//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`: client-server API, "Room summary".

use actix_web::web;
use engine::Engine;
use ruma::api::client::room::get_summary::v1::{Request, Response};

use crate::{error::ApiError, extract::MaybeAuthed, reply::Reply};

/// As clients call it that know it from before it was specified (MSC3266); the second name is older still.
pub(crate) const UNSTABLE_PATHS: [&str; 2] = [
    "/_matrix/client/unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
    "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
];

/// Answers with what a room shows.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    MaybeAuthed { requester, body }: MaybeAuthed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let room = &body.room_id_or_alias;
    let seen = engine.room_summary(requester.as_ref(), room, body.via);
    let seen = seen.await?;
    let mut response = Response::new(seen.summary);
    response.membership = seen.membership.map(|membership| membership.as_str().into());
    Ok(Reply(response))
}
