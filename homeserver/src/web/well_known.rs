//! `/.well-known/matrix/{client,server}`: client-server API, "Well-known URIs"; server-server API,
//! "Resolving server names".

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::Site;

/// How long the answers may be kept, in seconds: a day is the specification's own advice; an hour
/// lets an operator who moves the server be done sooner.
const MAX_AGE: &str = "public, max-age=3600";

/// What calls of many people go through: MSC4143, of before it had an endpoint.
const RTC_FOCI: &str = "org.matrix.msc4143.rtc_foci";

/// Where clients connect.
pub(super) async fn client(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let mut known = json!({"m.homeserver": {"base_url": client_url(&site, &request)}});
    if !site.livekit_urls.is_empty() {
        known[RTC_FOCI] = client_api::rtc_transports(&site.livekit_urls).into();
    }
    HttpResponse::Ok()
        .insert_header(("Cache-Control", MAX_AGE))
        .json(known)
}

/// Where other servers connect.
pub(super) async fn server(site: web::Data<Site>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Cache-Control", MAX_AGE))
        .json(json!({"m.server": site.federation}))
}

/// The configured URL, or else the one at which the question was asked.
pub(super) fn client_url(site: &Site, request: &HttpRequest) -> String {
    site.client_url.clone().unwrap_or_else(|| {
        let connection = request.connection_info();
        format!("{}://{}", connection.scheme(), connection.host())
    })
}
