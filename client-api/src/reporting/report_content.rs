//! `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`: client-server API, "Reporting Content".

use actix_web::web;
use engine::{Complaint, Engine};
use ruma::{
    OwnedEventId, OwnedRoomId,
    api::client::room::report_content::v3::{Request, Response},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{RawAuthed, Typeless},
    reply::Reply,
};

/// The body. Not ruma's, which has no score.
#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
    score: Option<i64>,
}

/// Reports an event that the user can see.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Typeless {
        asked: RawAuthed { requester, ask },
        ..
    }: Typeless<Request, RawAuthed>,
) -> Result<Reply<Response>, ApiError> {
    let room_id: OwnedRoomId = ask.argument(0)?;
    let event_id: OwnedEventId = ask.argument(1)?;
    let body: Body = ask.json()?;
    let complaint = Complaint {
        reason: body.reason,
        score: body.score,
    };
    engine
        .report_event(&requester, &room_id, &event_id, complaint)
        .await?;
    Ok(Reply(Response::new()))
}
