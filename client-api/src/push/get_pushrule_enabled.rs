//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::get_pushrule_enabled::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers whether a rule is enabled.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let accounts = engine.accounts();
    let rule = accounts
        .push_rule(&requester, body.kind, &body.rule_id)
        .await?;
    Ok(Reply(Response::new(rule.enabled())))
}
