//! `GET /_matrix/client/v3/pushrules/`: client-server API, "Push rules".

use ruma::{
    api::client::push::get_pushrules_all::v3::{Request, Response},
    push::Ruleset,
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the server's default rules, as nobody can have changed theirs yet. Clients ask before they begin to
/// sync, and some do not begin without an answer.
pub(crate) async fn handle(ask: Authed<Request>) -> Result<Reply<Response>, ApiError> {
    let rules = Ruleset::server_default(&ask.requester.user_id);
    Ok(Reply(Response::new(rules)))
}
