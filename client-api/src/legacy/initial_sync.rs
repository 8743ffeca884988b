//! `GET /_matrix/client/v3/initialSync`: client-server API, deprecated.

use std::{sync::Arc, time::Duration};

use actix_web::web;
use engine::{Engine, SyncAsk};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{of_room, take};
use crate::{Shared, error::ApiError, extract::RawAuthed, reply::Json, sync};

/// Where it is, today and before 2021.
pub(crate) const PATHS: [&str; 2] = [
    "/_matrix/client/v3/initialSync",
    "/_matrix/client/r0/initialSync",
];

/// How many messages a room has where the client does not say.
const LIMIT_DEFAULT: u32 = 10;

#[derive(Deserialize)]
struct Query {
    limit: Option<u32>,
    #[serde(default)]
    archived: bool,
}

/// Answers with all rooms of the user, each with its state and its last messages: a sync, as it was written then.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let query: Query = ask.query()?;
    let mut ask = SyncAsk {
        timeout: Duration::ZERO,
        use_state_after: true,
        ..SyncAsk::default()
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let filter = Arc::make_mut(&mut ask.filter);
    filter.room.timeline.limit = Some(limit.into());
    filter.room.include_leave = query.archived;
    let news = sync::look(&shared, &engine, &requester, ask).await?;
    let mut body: Value =
        serde_json::from_slice(&news.json).map_err(|cause| ApiError::internal(&cause))?;
    let mut rooms = Vec::new();
    let mut receipts = Vec::new();
    for (section, membership) in [
        ("join", "join"),
        ("invite", "invite"),
        ("knock", "knock"),
        ("leave", "leave"),
    ] {
        let list = body["rooms"][section].take();
        let Value::Object(list) = list else { continue };
        for (room_id, mut room) in list {
            let ephemeral = of_room(&room_id, take(&mut room, "/ephemeral/events"));
            receipts.extend(
                ephemeral
                    .into_iter()
                    .filter(|one| one["type"] == "m.receipt"),
            );
            rooms.push(shown(&room_id, membership, room, &news.next_batch));
        }
    }
    Ok(Json(json!({
        "end": news.next_batch, "rooms": rooms, "receipts": receipts,
        "presence": take(&mut body, "/presence/events"),
        "account_data": take(&mut body, "/account_data/events"),
    })))
}

/// One room as it was written then.
fn shown(room_id: &str, membership: &str, mut room: Value, end: &str) -> Value {
    if membership == "invite" || membership == "knock" {
        let stripped = take(&mut room, &format!("/{membership}_state/events"));
        let mut shown = json!({ "room_id": room_id, "membership": membership });
        let stripped = of_room(room_id, stripped);
        let own = stripped.iter().find(|event| {
            event["type"] == "m.room.member" && event["content"]["membership"] == membership
        });
        if let (Some(own), "invite") = (own, membership) {
            shown["inviter"] = own["sender"].clone();
            shown["invite"] = own.clone();
        }
        shown["state"] = stripped.into();
        return shown;
    }
    let mut messages = json!({
        "chunk": of_room(room_id, take(&mut room, "/timeline/events")), "end": end,
    });
    let start = room["timeline"]["prev_batch"].take();
    if start.is_string() {
        messages["start"] = start;
    }
    // ruma writes one of the two.
    let mut state = take(&mut room, "/state_after/events");
    state.extend(take(&mut room, "/state/events"));
    json!({
        "room_id": room_id, "membership": membership, "messages": messages,
        "state": of_room(room_id, state), "account_data": take(&mut room, "/account_data/events"),
    })
}
