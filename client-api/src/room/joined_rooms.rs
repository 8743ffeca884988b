//! `GET /_matrix/client/v3/joined_rooms`: client-server API, "Listing rooms".

use actix_web::web;
use engine::Engine;
use ruma::api::client::membership::joined_rooms::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the rooms that the user is joined to.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    Ok(Reply(Response::new(engine.joined_rooms(&requester).await?)))
}
