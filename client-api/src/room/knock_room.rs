//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`: client-server API, "Knocking on rooms".

use actix_web::web;
use engine::Engine;
use ruma::{
    OwnedRoomId,
    api::client::knock::knock_room::v3::{Request, Response},
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Knocks at a room by ID or by alias and answers with its ID.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
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
    engine.knock(&requester, &room_id, via, body.reason).await?;
    Ok(Reply(Response::new(room_id)))
}
