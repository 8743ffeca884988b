//! `POST /_matrix/client/v3/users/{userId}/report`: client-server API, "Reporting Content".

use actix_web::web;
use engine::{Complaint, Engine};
use ruma::api::client::reporting::report_user::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Reports a user of any server.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let complaint = Complaint {
        reason: Some(body.reason),
        score: None,
    };
    engine
        .report_user(&requester, &body.user_id, complaint)
        .await?;
    Ok(Reply(Response::new()))
}
