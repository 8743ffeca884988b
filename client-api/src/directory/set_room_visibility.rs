//! `PUT /_matrix/client/v3/directory/list/room/{roomId}`: client-server API, "Published room directory".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedRoomId,
    api::client::directory::set_room_visibility::v3::{Request, Response},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Reply,
};

/// The body. ruma's own type demands the visibility, and takes any.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    visibility: Visibility,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Visibility {
    #[default]
    Public,
    Private,
}

/// Lists a room in the directory, or takes it out.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let room_id: OwnedRoomId = asked.ask.argument(0)?;
    let body: Body = asked.ask.json()?;
    let published = matches!(body.visibility, Visibility::Public);
    engine
        .room(&room_id)
        .await?
        .set_published(&asked.requester, published)
        .await?;
    Ok(Reply(Response::new()))
}
