//! `GET /_matrix/client/v3/thirdparty/protocols`: client-server API, "Third-party Lookups".

use ruma::api::client::thirdparty::get_protocols::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the networks that users can reach: none.
pub(crate) async fn handle(_ask: Authed<Request>) -> Result<Reply<Response>, ApiError> {
    Ok(Reply(Response::new(std::collections::BTreeMap::new())))
}
