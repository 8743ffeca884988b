//! `/health`: for load balancers and supervisors.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::Site;

/// 200 while the server can do its work; 503 once it is stopping.
pub(super) async fn handle(site: web::Data<Site>) -> HttpResponse {
    if site.stop.is_requested() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "stopping"}));
    }
    HttpResponse::Ok().json(json!({"status": "ok"}))
}
