//! `GET /_matrix/federation/v1/hierarchy/{roomId}`: server-server API, "Spaces".

use actix_web::{HttpResponse, web};

use super::{Room, answer, room_id};
use crate::{ApiError, params::Params, x_matrix::Signed};

/// A space with its children, as far as users of the other server are in them or could be.
pub(crate) async fn handle(
    engine: web::Data<Room>,
    path: web::Path<String>,
    params: Params,
    signed: Signed,
) -> Result<HttpResponse, ApiError> {
    let room = room_id(&path.into_inner())?;
    let suggested_only = match params.one("suggested_only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::invalid_param("suggested_only is no boolean")),
    };
    let told = engine.ask(move |inbound| async move {
        inbound
            .hierarchy(&signed.origin, &room, suggested_only)
            .await
    });
    Ok(answer(&told.await?))
}
