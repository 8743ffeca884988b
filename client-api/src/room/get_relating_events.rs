//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`, also with `/{relType}` and `/{relType}/{eventType}`:
//! client-server API, "Relationships API".

use actix_web::web;
use engine::{Direction, Engine, RelationsAsk};
use ruma::{
    OwnedRoomId, UInt,
    api::{Direction as RumaDirection, IncomingRequest},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::limit;
use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Json,
};

/// How many children one page has if the client does not say: as Synapse.
const LIMIT_DEFAULT: u16 = 5;

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    dir: RumaDirection,
    limit: Option<u64>,
    #[serde(default)]
    recurse: bool,
}

/// Answers with the children of an event, for each of the three requests `R`: those that relate to it in one way, and have one
/// type, as far as its path says so.
pub(crate) async fn handle<R: IncomingRequest + 'static>(
    engine: web::Data<Engine>,
    Typeless { asked, .. }: Typeless<R, RawAuthed>,
) -> Result<Json<Value>, ApiError> {
    let RawAuthed { requester, ask } = asked;
    let query: Query = ask.query()?;
    let text = |index: usize| {
        let given = ask.arguments.len() > index;
        given.then(|| ask.argument(index)).transpose()
    };
    let room_id: OwnedRoomId = ask.argument(0)?;
    let ask = RelationsAsk {
        event_id: ask.argument(1)?,
        rel_type: text(2)?,
        event_type: text(3)?,
        from: query.from,
        to: query.to,
        direction: match query.dir {
            RumaDirection::Backward => Direction::Backward,
            RumaDirection::Forward => Direction::Forward,
        },
        limit: query
            .limit
            .map_or(LIMIT_DEFAULT, |wanted| limit(UInt::new_saturating(wanted))),
        recurse: query.recurse,
    };
    let room = engine.room_to_read(&room_id).await?;
    let page = room.relations(&requester, ask).await?;
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
