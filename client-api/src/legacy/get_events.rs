//! `GET /_matrix/client/v3/events`: client-server API, deprecated, and with `room_id` "Room previews".

use std::{sync::Arc, time::Duration};

use actix_web::web;
use engine::{Engine, Requester, SyncAsk};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{TIMEOUT_MS_DEFAULT, of_room, take};
use crate::{Shared, error::ApiError, extract::RawAuthed, reply::Json, sync};

/// Where it is, today and before 2021.
pub(crate) const PATHS: [&str; 2] = ["/_matrix/client/v3/events", "/_matrix/client/r0/events"];

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    timeout: Option<u64>,
    room_id: Option<OwnedRoomId>,
}

/// Answers with what has happened since a token, in one room or in all of the user's; waits for it where nothing has yet.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let query: Query = ask.query()?;
    let timeout = query.timeout.unwrap_or(TIMEOUT_MS_DEFAULT);
    let timeout = Duration::from_millis(timeout.min(shared.settings.sync_timeout_ms_max));
    let Some(room_id) = query.room_id else {
        return stream(engine, &shared, &requester, query.from, timeout).await;
    };
    let room = engine.room(&room_id).await?;
    let from = query.from.as_deref();
    let peeked = tokio::select! {
        peeked = room.peek(&requester, from, timeout) => peeked?,
        () = shared.sockets.stopping() => room.peek(&requester, from, Duration::ZERO).await?,
    };
    let (start, end) = (peeked.start, peeked.end);
    Ok(Json(
        json!({ "start": start, "end": end, "chunk": peeked.chunk }),
    ))
}

/// What has happened to the user: a sync, as it was written then.
async fn stream(
    engine: web::Data<Engine>,
    shared: &Shared,
    requester: &Requester,
    from: Option<String>,
    timeout: Duration,
) -> Result<Json<Value>, ApiError> {
    if requester.guest {
        return Err(ApiError::guest_access_forbidden(
            "Guests follow one room at a time",
        ));
    }
    let start = match from {
        Some(from) => from,
        None => now(&engine, shared, requester).await?,
    };
    let ask = SyncAsk {
        since: Some(start.clone()),
        timeout,
        ..SyncAsk::default()
    };
    let at_once = SyncAsk {
        timeout: Duration::ZERO,
        ..ask.clone()
    };
    let news = tokio::select! {
        news = sync::look(shared, &engine, requester, ask) => news?,
        () = shared.sockets.stopping() => sync::look(shared, &engine, requester, at_once).await?,
    };
    let mut body: Value =
        serde_json::from_slice(&news.json).map_err(|cause| ApiError::internal(&cause))?;
    let chunk = chunk(&mut body);
    Ok(Json(
        json!({ "start": start, "end": news.next_batch, "chunk": chunk }),
    ))
}

/// The token of this moment.
async fn now(
    engine: &web::Data<Engine>,
    shared: &Shared,
    requester: &Requester,
) -> Result<String, ApiError> {
    let mut ask = SyncAsk::default();
    // Nothing of any room.
    Arc::make_mut(&mut ask.filter).room.rooms = Some(Vec::new());
    Ok(sync::look(shared, engine, requester, ask).await?.next_batch)
}

/// All events of a sync body in one list.
fn chunk(body: &mut Value) -> Vec<Value> {
    let mut chunk = take(body, "/presence/events");
    for (section, lists) in [
        ("/rooms/invite", &["/invite_state/events"][..]),
        ("/rooms/knock", &["/knock_state/events"]),
        ("/rooms/leave", &["/timeline/events"]),
        ("/rooms/join", &["/timeline/events", "/ephemeral/events"]),
    ] {
        let Some(rooms) = body.pointer_mut(section).and_then(Value::as_object_mut) else {
            continue;
        };
        for (room_id, room) in rooms {
            for list in lists {
                chunk.extend(of_room(room_id, take(room, list)));
            }
        }
    }
    chunk
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::chunk;

    #[test]
    fn a_sync_body_becomes_one_list() {
        let mut body = json!({
            "presence": { "events": [{ "type": "m.presence" }] },
            "rooms": {
                "join": { "!a:b": {
                    "timeline": { "events": [{ "type": "m.room.message" }] },
                    "ephemeral": { "events": [{ "type": "m.typing" }] },
                }},
                "invite": { "!c:d": { "invite_state": { "events": [{ "type": "m.room.member" }] } } },
            },
        });
        let expected = [
            json!({ "type": "m.presence" }),
            json!({ "type": "m.room.member", "room_id": "!c:d" }),
            json!({ "type": "m.room.message", "room_id": "!a:b" }),
            json!({ "type": "m.typing", "room_id": "!a:b" }),
        ];
        assert_eq!(chunk(&mut body), expected);
        assert!(chunk(&mut json!({})).is_empty());
    }
}
