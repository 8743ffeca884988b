//! `/health`: for load balancers and supervisors.

use actix_web::{HttpResponse, web};
use serde_json::json;
use tracing::warn;

use super::Site;

/// 200 while the server can do its work; 503 once it is stopping or its database does not answer.
pub(super) async fn handle(site: web::Data<Site>) -> HttpResponse {
    if site.stop.is_requested() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "stopping"}));
    }
    match site.store.reader().ping().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ok"})),
        Err(error) => {
            warn!(%error, "the database does not answer");
            HttpResponse::ServiceUnavailable()
                .json(json!({"status": "the database does not answer"}))
        }
    }
}
