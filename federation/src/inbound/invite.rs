//! `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`, and its first version: server-server API, "Inviting to a
//! room".

use actix_web::{HttpResponse, web};
use spec::{
    json::{Object, Value, encode},
    object,
};

use super::{Room, answer, body, event_id, json, objects, room_id, with_status};
use crate::{ApiError, x_matrix::Signed};

/// Takes in an invite to a room of any version.
pub(crate) async fn v2(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    mut signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let mut body = body(&mut signed)?;
    let version = match body.remove("room_version") {
        Some(Value::String(version)) => version,
        Some(_) => return Err(ApiError::bad_json("room_version is not a string")),
        None => return Err(ApiError::missing_param("room_version is missing")),
    };
    let event = match body.remove("event") {
        Some(Value::Object(event)) => event,
        Some(_) => return Err(ApiError::bad_json("event is not an object")),
        None => return Err(ApiError::missing_param("event is missing")),
    };
    let room_state = objects(&mut body, "invite_room_state")?;
    let invite = take(&engine, &path, signed, Some(version), event, room_state).await?;
    Ok(answer(&object! { "event" => invite }))
}

/// Takes in an invite to a room of version 1 or 2, which have the same format.
pub(crate) async fn v1(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    mut signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let event = body(&mut signed)?;
    let unsigned = event.get("unsigned").and_then(Value::as_object);
    let mut unsigned = unsigned.cloned().unwrap_or_default();
    let room_state = objects(&mut unsigned, "invite_room_state")?;
    let invite = take(&engine, &path, signed, None, event, room_state).await?;
    let body = object! { "event" => invite };
    Ok(json(encode(&with_status(body))))
}

async fn take(
    engine: &Room,
    path: &(String, String),
    Signed { origin, .. }: Signed,
    version: Option<String>,
    event: Object,
    room_state: Vec<Object>,
) -> Result<Object, ApiError> {
    let (room, id) = (room_id(&path.0)?, event_id(&path.1)?);
    engine
        .ask(|inbound| async move {
            inbound
                .invite(&origin, &room, &id, version.as_deref(), event, room_state)
                .await
        })
        .await
}
