//! `POST /_matrix/client/v3/rooms/{roomId}/report`: client-server API, "Reporting Content".

use actix_web::web;
use engine::{Complaint, Engine};
use ruma::api::client::room::report_room::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Reports a room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let complaint = Complaint {
        reason: Some(body.reason),
        score: None,
    };
    engine
        .report_room(&requester, &body.room_id, complaint)
        .await?;
    Ok(Reply(Response::new()))
}
