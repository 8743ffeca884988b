//! `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}` and `3pid/onbind`: server-server API, "Third-party
//! invites".

use actix_web::{HttpResponse, web};
use engine::third_party::Bound;
use spec::json::{Object, Strictness, parse_object};

use super::{Room, answer, body, room_id};
use crate::{ApiError, Shared, body::Unsigned, x_matrix::Signed};

/// Invites a user of the other server to whom an address belongs that was invited.
pub(crate) async fn exchange(
    engine: web::Data<Room>,
    path: web::Path<String>,
    mut signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let (room, invite) = (room_id(&path)?, body(&mut signed)?);
    let origin = signed.origin;
    engine
        .ask(|inbound| async move { inbound.exchange(&origin, &room, &invite).await })
        .await?;
    Ok(answer(&Object::new()))
}

/// Hears from an identity server that an address belongs to a user of this server, and which invites wait for it. Nobody
/// signs this request: what is signed are the invites.
pub(crate) async fn on_bind(
    engine: web::Data<Room>,
    shared: web::Data<Shared>,
    Unsigned(body): Unsigned,
) -> Result<HttpResponse, ApiError> {
    let bound = Bound::parse(&parse_object(&body, Strictness::Lenient)?)?;
    // Each leads to requests of ours. All who do not sign take turns together.
    let lane = shared.server_name().to_owned();
    engine
        .read(lane, |inbound| async move { inbound.bound(bound).await })
        .await?;
    Ok(answer(&Object::new()))
}
