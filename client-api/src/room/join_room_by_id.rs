//! `POST /_matrix/client/v3/rooms/{roomId}/join`: client-server API, "Joining rooms".

use actix_web::web;
use engine::{Engine, Requester};
use ruma::{
    OwnedServerName, RoomId,
    api::client::membership::join_room_by_id::v3::{Request, Response},
};
use spec::json::{Object, Value};

use super::content;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Joins a room and answers with its ID.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let (room_id, reason) = (body.room_id, body.reason);
    join(&engine, &requester, &room_id, Vec::new(), reason, &raw).await?;
    Ok(Reply(Response::new(room_id)))
}

/// Joins as the body says.
pub(super) async fn join(
    engine: &Engine,
    by: &Requester,
    room: &RoomId,
    via: Vec<OwnedServerName>,
    reason: Option<String>,
    raw: &[u8],
) -> Result<(), ApiError> {
    let (extra, proof) = extra_content(raw)?;
    match proof {
        Some(proof) => {
            engine
                .join_by_proof(by, room, via, reason, extra, proof)
                .await?
        }
        None => engine.join(by, room, via, reason, extra).await?,
    }
    Ok(())
}

/// The keys of a join's body that go into the content of the member event: all that mean nothing to the server; and what
/// proves that the user has an address which was invited. Not by ruma's type, as all of that is signed.
fn extra_content(raw: &[u8]) -> Result<(Object, Option<Object>), ApiError> {
    if raw.is_empty() {
        return Ok((Object::new(), None));
    }
    let mut extra = content::body(raw)?;
    let proof = match extra.remove("third_party_signed") {
        None | Some(Value::Null) => None,
        Some(Value::Object(proof)) => Some(proof),
        Some(_) => return Err(ApiError::bad_json("third_party_signed is not an object")),
    };
    for key in [
        "membership",
        "reason",
        "third_party_invite",
        "join_authorised_via_users_server",
    ] {
        extra.remove(key);
    }
    Ok((extra, proof))
}
