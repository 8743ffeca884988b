//! `POST /_matrix/client/v3/join/{roomIdOrAlias}`: client-server API, "Joining rooms".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedRoomId,
    api::client::membership::join_room_by_id_or_alias::v3::{Request, Response},
};

use super::join_room_by_id::join;
use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Joins a room by ID or by alias and answers with its ID.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let mut via = body.via;
    let room_id = match OwnedRoomId::try_from(body.room_id_or_alias) {
        Ok(room_id) => room_id,
        Err(alias) => {
            let (room_id, servers) = engine.resolve_alias(&alias).await?;
            via.extend(servers);
            room_id
        }
    };
    join(&engine, &requester, &room_id, via, body.reason, &raw).await?;
    Ok(Reply(Response::new(room_id)))
}
