//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`, also with `/{relType}` and `/{relType}/{eventType}`:
//! client-server API, "Relationships API".

use actix_web::web;
use engine::{Direction, Engine, RelationsAsk, Requester};
use ruma::{
    OwnedEventId, OwnedRoomId, UInt,
    api::{
        Direction as RumaDirection,
        client::relations::{
            get_relating_events, get_relating_events_with_rel_type,
            get_relating_events_with_rel_type_and_event_type,
        },
    },
};
use serde_json::{Value, json};

use super::limit;
use crate::{error::ApiError, extract::Authed, reply::Json};

/// How many children one page has if the client does not say: as Synapse.
const LIMIT_DEFAULT: u16 = 5;

/// What the three requests have in common.
struct Asked {
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    rel_type: Option<String>,
    event_type: Option<String>,
    from: Option<String>,
    to: Option<String>,
    dir: RumaDirection,
    limit: Option<UInt>,
    recurse: bool,
}

/// Answers with the children of an event.
pub(crate) async fn all(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<get_relating_events::v1::Request>,
) -> Result<Json<Value>, ApiError> {
    let asked = Asked {
        room_id: body.room_id,
        event_id: body.event_id,
        rel_type: None,
        event_type: None,
        from: body.from,
        to: body.to,
        dir: body.dir,
        limit: body.limit,
        recurse: body.recurse,
    };
    answer(&engine, &requester, asked).await
}

/// Answers with the children of an event that relate to it in one way.
pub(crate) async fn with_rel_type(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<get_relating_events_with_rel_type::v1::Request>,
) -> Result<Json<Value>, ApiError> {
    let asked = Asked {
        room_id: body.room_id,
        event_id: body.event_id,
        rel_type: Some(body.rel_type.to_string()),
        event_type: None,
        from: body.from,
        to: body.to,
        dir: body.dir,
        limit: body.limit,
        recurse: body.recurse,
    };
    answer(&engine, &requester, asked).await
}

/// Answers with the children of an event that relate to it in one way and have one type.
pub(crate) async fn with_rel_type_and_event_type(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<get_relating_events_with_rel_type_and_event_type::v1::Request>,
) -> Result<Json<Value>, ApiError> {
    let asked = Asked {
        room_id: body.room_id,
        event_id: body.event_id,
        rel_type: Some(body.rel_type.to_string()),
        event_type: Some(body.event_type.to_string()),
        from: body.from,
        to: body.to,
        dir: body.dir,
        limit: body.limit,
        recurse: body.recurse,
    };
    answer(&engine, &requester, asked).await
}

async fn answer(
    engine: &Engine,
    requester: &Requester,
    asked: Asked,
) -> Result<Json<Value>, ApiError> {
    let ask = RelationsAsk {
        event_id: asked.event_id,
        rel_type: asked.rel_type,
        event_type: asked.event_type,
        from: asked.from,
        to: asked.to,
        direction: match asked.dir {
            RumaDirection::Backward => Direction::Backward,
            RumaDirection::Forward => Direction::Forward,
        },
        limit: asked.limit.map_or(LIMIT_DEFAULT, limit),
        recurse: asked.recurse,
    };
    let room = engine.room(&asked.room_id).await?;
    let page = room.relations(requester, ask).await?;
    let mut answer = json!({ "chunk": page.chunk });
    for (name, token) in [
        ("next_batch", page.next_batch),
        ("prev_batch", page.prev_batch),
    ] {
        if let Some(token) = token {
            answer[name] = token.into();
        }
    }
    if let Some(depth) = page.recursion_depth {
        answer["recursion_depth"] = depth.into();
    }
    Ok(Json(answer))
}
