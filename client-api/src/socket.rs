//! Sync over a WebSocket: `spec/api/extensions/websocket.md`.
//!
//! A socket is one task on the worker that took the handshake. It holds no state of rooms: what it pushes is what the
//! engine answers to "what is new since the last push", and what it carries out are the engine's own calls, so that a
//! socket and HTTP cannot differ.

mod connection;
mod frame;
mod handshake;
mod registry;
mod request;
mod slides;
mod window;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use engine::{Engine, SyncAsk};

pub(crate) use self::registry::{FULL_PAUSE, Place, Registry};
use self::{
    connection::{Client, Connection, Names},
    registry::Name,
};
use crate::{Shared, error::ApiError, limits::Class, sync};

/// Opens a socket: `GET /_matrix/client/unstable/org.rookery.ws/stream`.
///
/// The first push is made before the handshake is answered, so that a bad token, filter or `since` is an HTTP error.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (query, token) = handshake::check(&request, &shared.settings.socket_origins)?;
    let requester = engine.authenticate(&token).await?;
    if requester.guest {
        return Err(ApiError::guest_access_forbidden(
            "Guests have no WebSocket: they may wait with /sync",
        ));
    }
    shared
        .limits
        .take_for_user(Class::Requests, &requester.user_id)
        .map_err(ApiError::limit_exceeded)?;
    let filter = sync::filter(&engine, &requester, &request, query.filter).await?;
    let ask = SyncAsk {
        since: query.since,
        filter: filter.definition,
        relations: filter.relations,
        timeout: Duration::ZERO,
        full_state: false,
        use_state_after: query.use_state_after || query.under_old_name,
        presence: sync::presence(&query.set_presence)?,
    };
    let first = if query.sliding {
        None
    } else {
        Some(sync::look(&shared, &engine, &requester, ask.clone()).await?)
    };
    let entry = shared.sockets.enter(Name {
        user_id: requester.user_id.clone(),
        device_id: requester.device_id.clone(),
        conn_id: query.conn_id,
    });
    let entry = entry.ok_or_else(|| ApiError::limit_exceeded(FULL_PAUSE))?;
    let (response, session, stream) =
        actix_ws::handle_with_protocols(&request, payload, &[handshake::PROTOCOL]).map_err(
            |error| ApiError::invalid_param(format!("The WebSocket handshake is broken: {error}")),
        )?;
    let names = match query.under_old_name && !query.use_state_after {
        true => Names::Old,
        false => Names::Stable,
    };
    let client = Client {
        requester,
        token,
        names,
    };
    let connection = Connection::new(engine, shared, client, ask, session, stream);
    actix_web::rt::spawn(Box::new(connection).run(first, entry));
    Ok(response)
}
