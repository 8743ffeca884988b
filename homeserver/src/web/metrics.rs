//! `/metrics`: measurements in the text format of Prometheus.

use actix_web::{HttpRequest, HttpResponse, web};
use metrics::counter;
use serde_json::json;

use super::Site;

/// The headers that every usual proxy adds. Behind one, the peer's address says nothing about who
/// asks, so such requests are refused.
const PROXY_HEADERS: [&str; 3] = ["Forwarded", "X-Forwarded-For", "X-Real-IP"];

/// All measurements, for those whom `metrics.allow` names.
pub(super) async fn handle(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    if !allowed(&site, &request) {
        return HttpResponse::Forbidden().json(json!({
            "errcode": "M_FORBIDDEN",
            "error": "Metrics are only for the networks in metrics.allow, asked directly",
        }));
    }
    counter!("rookery_database_reads_total").absolute(site.store.reads());
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(site.metrics.render())
}

fn allowed(site: &Site, request: &HttpRequest) -> bool {
    let proxied = PROXY_HEADERS
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let Some(peer) = request.peer_addr() else {
        return false;
    };
    let peer = peer.ip().to_canonical();
    !proxied
        && site
            .metrics_allow
            .iter()
            .any(|network| network.contains(&peer))
}
