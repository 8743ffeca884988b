//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::set_pushrule_enabled::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Enables or disables a rule.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine
        .accounts()
        .set_push_rule_enabled(&requester, body.kind, &body.rule_id, body.enabled)
        .await?;
    Ok(Reply(Response::new()))
}
