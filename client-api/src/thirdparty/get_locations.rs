//! `GET /_matrix/client/v3/thirdparty/location`, with and without a protocol: client-server API, "Third-party Lookups".

use ruma::api::client::thirdparty::{get_location_for_protocol, get_location_for_room_alias};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with the places of one network: none.
pub(crate) async fn of_protocol(
    _ask: Authed<get_location_for_protocol::v3::Request>,
) -> Result<Reply<get_location_for_protocol::v3::Response>, ApiError> {
    Ok(Reply(get_location_for_protocol::v3::Response::new(
        Vec::new(),
    )))
}

/// Answers with the places behind a room alias: none.
pub(crate) async fn of_alias(
    _ask: Authed<get_location_for_room_alias::v3::Request>,
) -> Result<Reply<get_location_for_room_alias::v3::Response>, ApiError> {
    Ok(Reply(get_location_for_room_alias::v3::Response::new(
        Vec::new(),
    )))
}
