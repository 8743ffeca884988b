//! `POST /_matrix/client/v3/publicRooms`: client-server API, "Published room directory".

use actix_web::web;
use engine::{Engine, PublicRooms, PublicRoomsAsk};
use ruma::{OwnedServerName, api::client::directory::get_public_rooms_filtered::v3::Request};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Json,
};

#[derive(Deserialize)]
struct Query {
    server: Option<OwnedServerName>,
}

/// Answers with a page of those public rooms that a filter chooses.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Json<PublicRooms>, ApiError> {
    let query: Query = asked.ask.query()?;
    let ask: PublicRoomsAsk = asked.ask.json()?;
    let page = engine.public_rooms(query.server.as_deref(), &ask).await?;
    Ok(Json(page))
}
