//! `GET /_matrix/client/v3/publicRooms`: client-server API, "Published room directory".

use actix_web::web;
use engine::{Engine, PublicRooms, PublicRoomsAsk};
use ruma::api::client::directory::get_public_rooms::v3::Request;

use crate::{error::ApiError, extract::MaybeAuthed, reply::Json};

/// Answers with a page of the public rooms of this server; to who is signed in also with those of another, so that nobody
/// unknown has this server ask others.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    MaybeAuthed { requester, body }: MaybeAuthed<Request>,
) -> Result<Json<PublicRooms>, ApiError> {
    let elsewhere = body
        .server
        .as_deref()
        .filter(|server| *server != engine.server_name());
    if elsewhere.is_some() && requester.is_none() {
        return Err(ApiError::missing_token());
    }
    let ask = PublicRoomsAsk {
        limit: body.limit.map(u64::from),
        since: body.since,
        ..PublicRoomsAsk::default()
    };
    let page = engine.public_rooms(elsewhere, &ask).await?;
    Ok(Json(page))
}
