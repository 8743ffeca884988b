//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`: client-server API, "Push Rules".

use actix_web::web;
use engine::Engine;
use ruma::api::client::push::set_pushrule_actions::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Changes what a rule does.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    engine
        .accounts()
        .set_push_rule_actions(&requester, body.kind, &body.rule_id, body.actions)
        .await?;
    Ok(Reply(Response::new()))
}
