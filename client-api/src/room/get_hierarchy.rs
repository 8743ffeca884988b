//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`: client-server API, "Spaces".

use actix_web::web;
use engine::{Engine, HierarchyAsk};
use ruma::api::client::space::get_hierarchy::v1::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with a page of the tree under a space.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let ask = HierarchyAsk {
        suggested_only: body.suggested_only,
        max_depth: body.max_depth.map(u64::from),
        limit: body.limit.map(u64::from),
        from: body.from,
    };
    let page = engine.hierarchy(&requester, &body.room_id, &ask).await?;
    let mut response = Response::new();
    response.rooms = page.rooms;
    response.next_batch = page.next_batch;
    Ok(Reply(response))
}
