//! `GET /_matrix/client/v3/pushers`: client-server API, "Push Notifications".

use actix_web::web;
use engine::{Engine, Pusher};
use ruma::api::client::push::get_pushers::v3::Request;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::Authed, reply::Json};

/// Answers with the pushers of the user.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed { requester, .. }: Authed<Request>,
) -> Result<Json<Value>, ApiError> {
    let pushers = engine.pushers(&requester).await?;
    let shown: Vec<Value> = pushers.into_iter().map(shown).collect();
    Ok(Json(json!({ "pushers": shown })))
}

fn shown(pusher: Pusher) -> Value {
    let mut shown = json!({
        "kind": pusher.kind.name(),
        "app_id": pusher.app_id,
        "pushkey": pusher.pushkey,
        "app_display_name": pusher.app_display_name,
        "device_display_name": pusher.device_display_name,
        "lang": pusher.lang,
        "data": pusher.data,
    });
    if let Some(tag) = pusher.profile_tag {
        shown["profile_tag"] = tag.into();
    }
    shown
}
