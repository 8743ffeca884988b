//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`: client-server API, "Client config".

use actix_web::web;
use engine::{Engine, account_data::Place};
use ruma::api::client::config::set_room_account_data::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Replaces the account data of one type for one room.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let place = Place {
        user_id: &body.user_id,
        room_id: Some(&body.room_id),
    };
    let event_type = body.event_type.to_string();
    let content = body.data.json();
    engine
        .accounts()
        .set_account_data(&requester, place, &event_type, content)
        .await?;
    Ok(Reply(Response::new()))
}
