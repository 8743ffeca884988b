//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}` and `send_leave`: server-server API, "Joining rooms",
//! "Leaving rooms".

use std::sync::Arc;

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
    let sent = send(&engine, &shared, "join", &path, signed).await?;
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
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    send(&engine, &shared, "leave", &path, signed).await?;
    Ok(answer(&Object::new()))
}

/// Takes the event in, and passes it on to the others in the room.
async fn send(
    engine: &Room,
    shared: &Shared,
    membership: &'static str,
    path: &(String, String),
    mut signed: Signed,
) -> Result<SentMembership, ApiError> {
    let (room, id) = (room_id(&path.0)?, event_id(&path.1)?);
    let pdu = body(&mut signed)?;
    let (origin, outbound) = (signed.origin, Arc::clone(&shared.outbound));
    engine
        .ask(|inbound| async move {
            let sent = inbound
                .send_membership(&origin, membership, &room, &id, pdu)
                .await?;
            outbound.pass_on(&id, &origin).await;
            Ok(sent)
        })
        .await
}
