//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`, `send_leave`, their first versions, and `v1/send_knock`:
//! server-server API, "Joining rooms", "Leaving rooms", "Knocking".

use actix_web::{HttpResponse, web};
use engine::inbound::{SentMembership, Signed as SignedMembership};
use spec::{
    json::{Object, Value},
    object,
};

use super::{Room, answer, answer_value, body, event_id, events, room_id, texts};
use crate::{ApiError, Shared, params::Params, x_matrix::Signed};

/// Takes in a join, and gives the room in return; without most member events, if the query says `omit_members=true`.
pub(crate) async fn join(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    params: Params,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let omit_members = params.one("omit_members") == Some("true");
    let sent = send(&engine, "join", &path, signed, omit_members).await?;
    Ok(answer(&object! {
        "origin" => shared.server_name().as_str(),
        "state" => events(sent.state),
        "auth_chain" => events(sent.auth_chain),
        "event" => sent.event,
        "members_omitted" => sent.members_omitted,
        "servers_in_room" => texts(sent.servers),
    }))
}

/// The same for servers that know the first version only, which has no partial answer.
pub(crate) async fn join_v1(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let sent = send(&engine, "join", &path, signed, false).await?;
    Ok(with_status(object! {
        "origin" => shared.server_name().as_str(),
        "state" => events(sent.state),
        "auth_chain" => events(sent.auth_chain),
        "event" => sent.event,
    }))
}

/// Takes in a leave.
pub(crate) async fn leave(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    send(&engine, "leave", &path, signed, false).await?;
    Ok(answer(&Object::new()))
}

/// The same for servers that know the first version only.
pub(crate) async fn leave_v1(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    send(&engine, "leave", &path, signed, false).await?;
    Ok(with_status(Object::new()))
}

/// An answer as the first versions have it: the status, once more, and what is answered.
fn with_status(body: Object) -> HttpResponse {
    answer_value(&Value::Array(vec![200.into(), body.into()]))
}

/// Takes in a knock, and gives what somebody outside may know of the room in return.
pub(crate) async fn knock(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let sent = send(&engine, "knock", &path, signed, false).await?;
    Ok(answer(
        &object! { "knock_room_state" => events(sent.state) },
    ))
}

/// Takes the event in, to be brought to the others in the room as well.
async fn send(
    engine: &Room,
    membership: &'static str,
    path: &(String, String),
    mut signed: Signed,
    omit_members: bool,
) -> Result<SentMembership, ApiError> {
    let room = room_id(&path.0)?;
    let ask = SignedMembership {
        membership,
        event_id: event_id(&path.1)?,
        pdu: body(&mut signed)?,
        omit_members,
    };
    let origin = signed.origin;
    engine
        .ask(|inbound| async move { inbound.send_membership(&origin, &room, ask).await })
        .await
}
