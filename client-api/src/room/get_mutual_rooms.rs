//! `GET /_matrix/client/v1/mutual_rooms`: client-server API, "Mutual rooms".

use actix_web::web;
use engine::Engine;
use ruma::{
    UInt,
    api::client::membership::get_mutual_rooms::v1::{Request, Response},
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with a page of the rooms that one shares with somebody.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let shared = engine.mutual_rooms(&requester, &body.user_id, body.from.as_deref());
    let shared = shared.await?;
    let count = UInt::new(shared.count).unwrap_or_default();
    let mut response = Response::new(count, shared.joined);
    response.next_batch = shared.next_batch;
    Ok(Reply(response))
}
