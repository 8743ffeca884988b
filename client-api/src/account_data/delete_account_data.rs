//! `DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}`, and the same below
//! `rooms/{roomId}`: MSC3391.

use actix_web::web;
use engine::{Engine, account_data::Place};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::{error::ApiError, extract::RawAuthed, reply::Json};

/// Where it is for all rooms.
pub(crate) const GLOBAL: &str =
    "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/account_data/{type}";
/// Where it is for one room.
pub(crate) const ROOM: &str = "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{type}";

/// Takes away the account data of one type.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let user_id: OwnedUserId = ask.argument(0)?;
    let event_type: String = ask.argument(1)?;
    let place = Place {
        user_id: &user_id,
        room_id: None,
    };
    delete(&engine, &requester, place, &event_type).await
}

/// Takes away the account data of one type for one room.
pub(crate) async fn handle_for_room(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let user_id: OwnedUserId = ask.argument(0)?;
    let room_id: OwnedRoomId = ask.argument(1)?;
    let event_type: String = ask.argument(2)?;
    let place = Place {
        user_id: &user_id,
        room_id: Some(&room_id),
    };
    delete(&engine, &requester, place, &event_type).await
}

async fn delete(
    engine: &Engine,
    requester: &engine::Requester,
    place: Place<'_>,
    event_type: &str,
) -> Result<Json<Value>, ApiError> {
    let accounts = engine.accounts();
    accounts
        .delete_account_data(requester, place, event_type)
        .await?;
    Ok(Json(json!({})))
}
