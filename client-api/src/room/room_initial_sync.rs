//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`: client-server API, "Room previews".

use actix_web::web;
use engine::Engine;
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::LIMIT_MAX;
use crate::{error::ApiError, extract::RawAuthed, reply::Json};

/// Where it is, today and before 2021.
pub(crate) const PATHS: [&str; 2] = [
    "/_matrix/client/v3/rooms/{room_id}/initialSync",
    "/_matrix/client/r0/rooms/{room_id}/initialSync",
];

/// How many messages an answer has where the client does not say.
const LIMIT_DEFAULT: u64 = 10;

#[derive(Deserialize)]
struct Query {
    limit: Option<u64>,
}

/// Answers with all of a room: its state, its last messages, and what the user keeps with it.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let room_id: OwnedRoomId = ask.argument(0)?;
    let query: Query = ask.query()?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let limit = u16::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let room = engine.room(&room_id).await?;
    let seen = room.initial_sync(&requester, limit).await?;
    let data = seen.account_data.iter().map(|data| {
        let content: Value = serde_json::from_str(&data.content).unwrap_or_default();
        json!({ "type": data.event_type, "content": content })
    });
    let mut messages = json!({ "chunk": seen.messages, "end": seen.end });
    if let Some(start) = seen.start {
        messages["start"] = start.into();
    }
    let mut answer = json!({
        "room_id": room_id, "messages": messages, "state": seen.state,
        "visibility": if seen.published { "public" } else { "private" },
        "account_data": data.collect::<Vec<_>>(), "presence": [], "receipts": [],
    });
    if let Some(membership) = seen.membership {
        answer["membership"] = membership.into();
    }
    Ok(Json(answer))
}
