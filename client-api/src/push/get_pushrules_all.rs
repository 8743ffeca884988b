//! `GET /_matrix/client/v3/pushrules/`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::get_pushrules_all::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with all rules. Clients ask before they begin to sync, and some do not begin without an answer.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let rules = engine.accounts().push_rules(&requester).await?;
    Ok(Reply(Response::new(rules)))
}
