//! `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::delete_pushrule::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Deletes a rule that the user has added.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine
        .accounts()
        .delete_push_rule(&requester, body.kind, &body.rule_id)
        .await?;
    Ok(Reply(Response::new()))
}
