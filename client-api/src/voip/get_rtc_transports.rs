//! `GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports`: MSC4143, for calls of many people.

use actix_web::web;
use serde_json::{Value, json};

use crate::{Shared, error::ApiError, extract::RawAuthed, reply::Json};

/// Where it is.
pub(crate) const PATH: &str = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";

/// Answers with what calls may go through.
pub(crate) async fn handle(
    shared: web::Data<Shared>,
    _asked: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let transports = rtc_transports(&shared.settings.livekit_urls);
    Ok(Json(json!({ "rtc_transports": transports })))
}

/// The LiveKit services at these URLs, as MSC4143 and MSC4195 name them.
#[must_use]
pub fn rtc_transports(livekit_urls: &[String]) -> Vec<Value> {
    let urls = livekit_urls.iter();
    urls.map(|url| json!({ "type": "livekit", "livekit_service_url": url }))
        .collect()
}
