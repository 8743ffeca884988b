//! `GET /_matrix/client/v3/login`: client-server API, "Legacy login".

use ruma::api::client::session::get_login_types::v3::{
    LoginType, PasswordLoginType, Request, Response,
};

use crate::{extract::Public, reply::Reply};

/// Answers with the ways to log in.
pub(crate) async fn handle(_ask: Public<Request>) -> Reply<Response> {
    Reply(Response::new(vec![LoginType::Password(
        PasswordLoginType::new(),
    )]))
}
