//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`: client-server API, "Room Upgrades".

use std::collections::BTreeSet;

use actix_web::web;
use engine::{Engine, Upgrade};
use ruma::{
    OwnedRoomId, OwnedUserId,
    api::client::room::upgrade_room::v3::{Request, Response},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Reply,
};

/// The body. Not ruma's, for the reason given at `create_room`.
#[derive(Deserialize)]
struct Body {
    new_version: String,
    #[serde(default)]
    additional_creators: BTreeSet<OwnedUserId>,
}

/// Replaces a room by one of another version, and answers with the ID of that.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless {
        asked: RawAuthed { requester, ask },
        ..
    }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let room_id: OwnedRoomId = ask.argument(0)?;
    let body: Body = ask.json()?;
    let upgrade = Upgrade {
        version: body.new_version,
        additional_creators: body.additional_creators,
    };
    let new = engine.upgrade_room(&requester, &room_id, upgrade).await?;
    Ok(Reply(Response::new(new)))
}
