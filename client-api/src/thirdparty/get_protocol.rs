//! `GET /_matrix/client/v3/thirdparty/protocol/{protocol}`: client-server API, "Third-party Lookups".

use ruma::api::client::thirdparty::get_protocol::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Refuses with 404, as there is no such network.
pub(crate) async fn handle(_ask: Authed<Request>) -> Result<Reply<Response>, ApiError> {
    Err(ApiError::not_found("No bridge brings this network"))
}
