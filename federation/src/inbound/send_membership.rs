//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}` and `send_leave`: server-server API, "Joining rooms",
//! "Leaving rooms".

use actix_web::{HttpResponse, web};
use engine::inbound::SentMembership;
use spec::{json::Object, object};

use super::{Room, answer, body, event_id, events, room_id, texts};
use crate::{ApiError, Shared, x_matrix::Signed};

/// Takes in a join, and gives the room in return.
pub(crate) async fn join(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let sent = send(&engine, "join", &path, signed).await?;
    Ok(answer(&object! {
        "origin" => shared.server_name().as_str(),
        "state" => events(sent.state),
        "auth_chain" => events(sent.auth_chain),
        "event" => sent.event,
        "members_omitted" => false,
        "servers_in_room" => texts(sent.servers),
    }))
}

/// Takes in a leave.
pub(crate) async fn leave(
    engine: web::Data<Room>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    send(&engine, "leave", &path, signed).await?;
    Ok(answer(&Object::new()))
}

/// Takes the event in, to be brought to the others in the room as well.
async fn send(
    engine: &Room,
    membership: &'static str,
    path: &(String, String),
    mut signed: Signed,
) -> Result<SentMembership, ApiError> {
    let (room, id) = (room_id(&path.0)?, event_id(&path.1)?);
    let pdu = body(&mut signed)?;
    engine
        .ask(|inbound| async move {
            inbound
                .send_membership(&signed.origin, membership, &room, &id, pdu)
                .await
        })
        .await
}
