//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`, `send_leave`, their first versions, and `v1/send_knock`:
//! server-server API, "Joining rooms", "Leaving rooms", "Knocking".

use actix_web::{HttpResponse, web};
use engine::inbound::{SentMembership, Signed as SignedMembership};
use spec::{
    json::{Object, Value, encode},
    object,
};

use super::{Room, body, event_id, events, json, room_id, texts, with_status};
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
    let own = shared.server_name().to_string();
    let form = |sent: SentMembership| {
        object! {
            "origin" => own,
            "state" => events(sent.state),
            "auth_chain" => events(sent.auth_chain),
            "event" => sent.event,
            "members_omitted" => sent.members_omitted,
            "servers_in_room" => texts(sent.servers),
        }
        .into()
    };
    send(&engine, "join", &path, signed, omit_members, form).await
}

/// The same for servers that know the first version only, which has no partial answer.
pub(crate) async fn join_v1(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let own = shared.server_name().to_string();
    let form = |sent: SentMembership| {
        with_status(object! {
            "origin" => own,
            "state" => events(sent.state),
            "auth_chain" => events(sent.auth_chain),
            "event" => sent.event,
        })
    };
    send(&engine, "join", &path, signed, false, form).await
}

/// Takes in a leave.
pub(crate) async fn leave(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let form = |_| Object::new().into();
    send(&engine, "leave", &path, signed, false, form).await
}

/// The same for servers that know the first version only.
pub(crate) async fn leave_v1(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let form = |_| with_status(Object::new());
    send(&engine, "leave", &path, signed, false, form).await
}

/// Takes in a knock, and gives what somebody outside may know of the room in return.
pub(crate) async fn knock(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let form = |sent: SentMembership| object! { "knock_room_state" => events(sent.state) }.into();
    send(&engine, "knock", &path, signed, false, form).await
}

/// Takes the event in, to be brought to the others in the room as well. `form` makes the answer of what is given in return,
/// which may be a large room: on the engine's runtime, since a worker of actix is one thread for many connections.
async fn send(
    engine: &Room,
    membership: &'static str,
    path: &(String, String),
    mut signed: Signed,
    omit_members: bool,
    form: impl FnOnce(SentMembership) -> Value + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let room = room_id(&path.0)?;
    let ask = SignedMembership {
        membership,
        event_id: event_id(&path.1)?,
        pdu: body(&mut signed)?,
        omit_members,
    };
    let origin = signed.origin;
    let answer = engine
        .ask(|inbound| async move {
            let sent = inbound.send_membership(&origin, &room, ask).await?;
            Ok(encode(&form(sent)))
        })
        .await?;
    Ok(json(answer))
}
