//! The answer to paths that nothing serves.

use actix_web::HttpResponse;
use serde_json::json;

/// 404 `M_UNRECOGNIZED`: the API's word for "no such endpoint".
pub(super) async fn handle() -> HttpResponse {
    HttpResponse::NotFound()
        .insert_header(("Access-Control-Allow-Origin", "*"))
        .json(json!({"errcode": "M_UNRECOGNIZED", "error": "This server has no such endpoint"}))
}
