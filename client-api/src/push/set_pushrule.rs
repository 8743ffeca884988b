//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: client-server API, "Push Rules".

use actix_web::web;
use engine::{Engine, RulePlace};
use ruma::api::client::push::set_pushrule::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Adds a rule, or changes one.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let Request {
        rule,
        before,
        after,
        ..
    } = body;
    let place = RulePlace { before, after };
    engine
        .accounts()
        .put_push_rule(&requester, rule, place)
        .await?;
    Ok(Reply(Response::new()))
}
