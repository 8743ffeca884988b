//! `GET /_matrix/client/v3/rooms/{roomId}/messages`: client-server API, "Getting events for a room".

use actix_web::{HttpRequest, web};
use engine::{Direction, Engine, MessagesAsk};
use ruma::api::{
    Direction as RumaDirection,
    client::message::get_message_events::v3::{Request, Response},
};

use super::{limit, relation_filter};
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with one page of the history, in the direction asked for.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    request: HttpRequest,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let ask = MessagesAsk {
        from: body.from,
        to: body.to,
        direction: match body.dir {
            RumaDirection::Backward => Direction::Backward,
            RumaDirection::Forward => Direction::Forward,
        },
        limit: limit(body.limit),
        filter: body.filter,
        relations: relation_filter(&request)?,
    };
    let page = engine
        .room_to_read(&body.room_id)
        .await?
        .messages(&requester, ask)
        .await?;
    let mut response = Response::new();
    (response.start, response.end) = (page.start, page.end);
    (response.chunk, response.state) = (page.chunk, page.state);
    Ok(Reply(response))
}
