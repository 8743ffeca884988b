//! `POST /_matrix/client/v3/user/{userId}/filter`: client-server API, "Filtering".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedUserId,
    api::client::filter::create_filter::v3::{Request, Response},
};
use serde_json::Value;

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Reply,
};

/// Stores a filter, and answers with its id. The filter is taken as it came: ruma drops keys that it does not know.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let user_id: OwnedUserId = asked.ask.argument(0)?;
    let filter: Value = asked.ask.json()?;
    let id = engine
        .accounts()
        .create_filter(&asked.requester, &user_id, &filter)
        .await?;
    Ok(Reply(Response::new(id)))
}
