//! `GET /_matrix/client/v3/thirdparty/user`, with and without a protocol: client-server API, "Third-party Lookups".

use ruma::api::client::thirdparty::{get_user_for_protocol, get_user_for_user_id};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the people of one network: none.
pub(crate) async fn of_protocol(
    _ask: Authed<get_user_for_protocol::v3::Request>,
) -> Result<Reply<get_user_for_protocol::v3::Response>, ApiError> {
    Ok(Reply(get_user_for_protocol::v3::Response::new(Vec::new())))
}

/// Answers with the people behind a user of this server: none.
pub(crate) async fn of_user(
    _ask: Authed<get_user_for_user_id::v3::Request>,
) -> Result<Reply<get_user_for_user_id::v3::Response>, ApiError> {
    Ok(Reply(get_user_for_user_id::v3::Response::new(Vec::new())))
}
