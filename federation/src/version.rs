//! `GET /_matrix/federation/v1/version`: server-server API, "Server implementation".

use actix_web::HttpResponse;
use serde_json::json;

/// Which software this is.
pub(crate) async fn handle() -> HttpResponse {
    HttpResponse::Ok()
        .json(json!({"server": {"name": "Rookery", "version": env!("CARGO_PKG_VERSION")}}))
}
