//! `GET /_matrix/client/v1/rooms/{roomId}/threads`: client-server API, "Querying threads in a room".

use actix_web::web;
use engine::{Engine, ThreadsAsk};
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request, Response};

use super::limit;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// How many threads one page has if the client does not say.
const LIMIT_DEFAULT: u16 = 20;

/// Answers with the roots of the room's threads, that with the last reply first.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let participated = match body.include {
        IncludeThreads::All => false,
        IncludeThreads::Participated => true,
        _ => {
            return Err(ApiError::invalid_param(
                "\"include\" is \"all\" or \"participated\"",
            ));
        }
    };
    if body.limit.is_some_and(|limit| limit == 0_u32.into()) {
        return Err(ApiError::invalid_param("\"limit\" is above 0"));
    }
    let ask = ThreadsAsk {
        from: body.from,
        participated,
        limit: body.limit.map_or(LIMIT_DEFAULT, limit),
    };
    let page = engine
        .room_to_read(&body.room_id)
        .await?
        .threads(&requester, ask)
        .await?;
    let mut response = Response::new(page.chunk);
    response.next_batch = page.next_batch;
    Ok(Reply(response))
}
