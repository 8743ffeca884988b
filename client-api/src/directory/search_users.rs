//! `POST /_matrix/client/v3/user_directory/search`: client-server API, "User Directory".

use actix_web::web;
use engine::Engine;
use ruma::api::client::user_directory::search_users::v3::Request;
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Json,
};

/// The body. Not ruma's, which cannot tell a limit that is missing.
#[derive(Deserialize)]
struct Body {
    search_term: String,
    limit: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    results: Vec<Found>,
    limited: bool,
}

#[derive(Serialize)]
struct Found {
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

/// Answers with the people whom the user may find by this text.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless {
        asked: RawAuthed { requester, ask },
        ..
    }: Typeless<Request, RawAuthed>,
) -> Result<Json<Answer>, ApiError> {
    let body: Body = ask.json()?;
    let people = engine
        .search_users(&requester, &body.search_term, body.limit)
        .await?;
    let found = people.found.into_iter().map(|person| Found {
        user_id: person.user_id,
        display_name: person.displayname,
        avatar_url: person.avatar_url,
    });
    Ok(Json(Answer {
        results: found.collect(),
        limited: people.limited,
    }))
}
