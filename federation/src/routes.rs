//! The routes: a line an endpoint.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Route, web};

use crate::{ApiError, Registered, inbound, keys, version};

/// The path prefixes that this API answers, known paths and unknown ones.
const PREFIXES: [&str; 2] = ["/_matrix/federation", "/_matrix/key"];

type Line = (Method, &'static str, Route);

fn all() -> Vec<Line> {
    vec![
        (
            Method::GET,
            "/_matrix/federation/v1/version",
            web::get().to(version::handle),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/send/{txnId}",
            web::put().to(inbound::send_transaction::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/make_join/{roomId}/{userId}",
            web::get().to(inbound::make_membership::join),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/send_join/{roomId}/{eventId}",
            web::put().to(inbound::send_membership::join_v1),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v2/send_join/{roomId}/{eventId}",
            web::put().to(inbound::send_membership::join),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/make_knock/{roomId}/{userId}",
            web::get().to(inbound::make_membership::knock),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/send_knock/{roomId}/{eventId}",
            web::put().to(inbound::send_membership::knock),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/make_leave/{roomId}/{userId}",
            web::get().to(inbound::make_membership::leave),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/send_leave/{roomId}/{eventId}",
            web::put().to(inbound::send_membership::leave_v1),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v2/send_leave/{roomId}/{eventId}",
            web::put().to(inbound::send_membership::leave),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/invite/{roomId}/{eventId}",
            web::put().to(inbound::invite::v1),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v2/invite/{roomId}/{eventId}",
            web::put().to(inbound::invite::v2),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/exchange_third_party_invite/{roomId}",
            web::put().to(inbound::third_party::exchange),
        ),
        (
            Method::PUT,
            "/_matrix/federation/v1/3pid/onbind",
            web::put().to(inbound::third_party::on_bind),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/event/{eventId}",
            web::get().to(inbound::event::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/event_auth/{roomId}/{eventId}",
            web::get().to(inbound::event_auth::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/state/{roomId}",
            web::get().to(inbound::state::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/state_ids/{roomId}",
            web::get().to(inbound::state_ids::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/backfill/{roomId}",
            web::get().to(inbound::backfill::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/timestamp_to_event/{roomId}",
            web::get().to(inbound::timestamp_to_event::handle),
        ),
        (
            Method::POST,
            "/_matrix/federation/v1/get_missing_events/{roomId}",
            web::post().to(inbound::get_missing_events::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/hierarchy/{roomId}",
            web::get().to(inbound::hierarchy::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/openid/userinfo",
            web::get().to(inbound::openid_userinfo::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/publicRooms",
            web::get().to(inbound::public_rooms::get),
        ),
        (
            Method::POST,
            "/_matrix/federation/v1/publicRooms",
            web::post().to(inbound::public_rooms::post),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/query/directory",
            web::get().to(inbound::query_directory::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/query/profile",
            web::get().to(inbound::query_profile::handle),
        ),
        (
            Method::GET,
            "/_matrix/federation/v1/query/{queryType}",
            web::get().to(inbound::query_unknown::handle),
        ),
        (
            Method::GET,
            "/_matrix/key/v2/server",
            web::get().to(keys::document::handle),
        ),
        // Deprecated, but asked by older servers: the key ID makes no difference.
        (
            Method::GET,
            "/_matrix/key/v2/server/",
            web::get().to(keys::document::handle),
        ),
        (
            Method::GET,
            "/_matrix/key/v2/server/{keyId}",
            web::get().to(keys::document::handle),
        ),
        (
            Method::GET,
            "/_matrix/key/v2/query/{serverName}",
            web::get().to(keys::query::get),
        ),
        (
            Method::POST,
            "/_matrix/key/v2/query",
            web::post().to(keys::query::post),
        ),
    ]
}

/// Every route of this API as method and path, variables written `{name}`; sorted by path.
///
/// The conformance tests hold it against `spec/api`.
#[must_use]
pub fn registered() -> Registered {
    let mut routes: Registered = all()
        .into_iter()
        .map(|(method, path, _)| (method, path.to_owned()))
        .collect();
    routes.sort_by(|a, b| (&a.1, a.0.as_str()).cmp(&(&b.1, b.0.as_str())));
    routes
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let mut lines = all().into_iter().peekable();
    while let Some((_, path, route)) = lines.next() {
        let mut resource = web::resource(path).route(route);
        while let Some((_, _, route)) = lines.next_if(|(_, next, _)| *next == path) {
            resource = resource.route(route);
        }
        config.service(resource.default_service(web::to(other_method)));
    }
    for prefix in PREFIXES {
        config.service(web::scope(prefix).default_service(web::to(unknown_path)));
    }
}

/// Server-server API, "Unsupported endpoints": 405 for a known path with another method.
async fn other_method(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(ApiError::method_not_allowed())
}

async fn unknown_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(ApiError::unrecognized())
}
