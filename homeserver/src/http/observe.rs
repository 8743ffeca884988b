//! Around every request: how long it took, what came of it, who may read it, and no panic that
//! reaches the wire.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use client_api::{Matched, add_cors_headers};
use futures_util::FutureExt;
use metrics::{counter, histogram};
use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, error};

use super::parts;

/// Measures and logs the request; a panic in its handler becomes a 500.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.path().to_owned();

    let mut answer = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answer) => answer?.map_into_boxed_body(),
        Err(_) => {
            error!(%method, path, "the handler of a request panicked");
            record(
                &method,
                "none".to_owned(),
                StatusCode::INTERNAL_SERVER_ERROR,
                started.elapsed(),
            );
            return Err(InternalError::from_response("panic", internal_error()).into());
        }
    };

    let elapsed = started.elapsed();
    let status = answer.status();
    let endpoint = endpoint(answer.request());
    // The client API has set them already.
    if !answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        add_cors_headers(answer.headers_mut());
    }
    record(&method, endpoint, status, elapsed);
    debug!(%method, path, status = status.as_u16(), ms = elapsed.as_millis(), "answered");
    Ok(answer.map_body(|_, body| parts::small(body)))
}

/// The pattern of the path that was asked, for labels: no identifiers in it.
fn endpoint(request: &HttpRequest) -> String {
    if let Some(matched) = request.extensions().get::<Matched>() {
        return matched.pattern.to_string();
    }
    // A scope's own pattern is no endpoint: what it matches is unknown.
    request
        .match_pattern()
        .filter(|pattern| !pattern.contains("{tail"))
        .unwrap_or_else(|| "none".to_owned())
}

fn record(method: &Method, endpoint: String, status: StatusCode, elapsed: Duration) {
    // Extension methods are the client's own words: they must not become label values.
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "other",
    };
    counter!("rookery_http_requests_total",
        "method" => method, "endpoint" => endpoint.clone(), "status" => status.as_str().to_owned())
    .increment(1);
    histogram!("rookery_http_request_seconds", "method" => method, "endpoint" => endpoint)
        .record(elapsed.as_secs_f64());
}

fn internal_error() -> HttpResponse {
    let mut answer = HttpResponse::InternalServerError().json(json!({
        "errcode": "M_UNKNOWN",
        "error": "Something went wrong inside the server; its log says what",
    }));
    add_cors_headers(answer.headers_mut());
    answer
}
