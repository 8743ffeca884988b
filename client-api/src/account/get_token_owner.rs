//! `GET /_matrix/client/v3/account/whoami`: client-server API, "Current account information".

use ruma::api::client::account::whoami::v3::{Request, Response};

use crate::{extract::Authed, reply::Reply};

/// Answers whose token it is.
pub(crate) async fn handle(Authed { requester, .. }: Authed<Request>) -> Reply<Response> {
    let mut response = Response::new(requester.user_id, requester.guest);
    response.device_id = requester.device_id;
    Reply(response)
}
