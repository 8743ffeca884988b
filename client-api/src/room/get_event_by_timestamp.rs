//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`: client-server API, "Getting an event at a given timestamp".

use actix_web::web;
use engine::{Direction, Engine};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::{
        Direction as RumaDirection,
        client::room::get_event_by_timestamp::v1::{Request, Response},
    },
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the event nearest to a time, in the direction asked for.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let direction = match body.dir {
        RumaDirection::Backward => Direction::Backward,
        RumaDirection::Forward => Direction::Forward,
    };
    let room = engine.room_to_read(&body.room_id).await?;
    let (event_id, at) = room
        .event_near(&requester, body.ts.get().into(), direction)
        .await?;
    // What is no time at all counts as the beginning of time.
    let at = MilliSecondsSinceUnixEpoch(UInt::try_from(at).unwrap_or_default());
    Ok(Reply(Response::new(event_id, at)))
}
