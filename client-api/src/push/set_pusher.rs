//! `POST /_matrix/client/v3/pushers/set`: client-server API, "Push Notifications".

use actix_web::web;
use engine::{Engine, Pusher, PusherKind};
use ruma::api::client::push::set_pusher::v3::{PusherAction, PusherPostData, Request, Response};
use serde_json::Value;

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Adds, replaces or deletes a pusher.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    match body.action {
        PusherAction::Post(posted) => {
            let append = posted.append;
            let pusher = pusher(posted)?;
            engine.set_pusher(&requester, pusher, append).await?;
        }
        PusherAction::Delete(ids) => {
            engine
                .delete_pusher(&requester, &ids.app_id, &ids.pushkey)
                .await?;
        }
        _ => return Err(ApiError::failure()),
    }
    Ok(Reply(Response::new()))
}

/// # Errors
/// 400 `M_INVALID_PARAM`: it is of a kind that this server does not have.
fn pusher(posted: PusherPostData) -> Result<Pusher, ApiError> {
    let pusher = posted.pusher;
    // Of kinds that it does not know ruma shows nothing otherwise.
    let written = serde_json::to_value(&pusher.kind);
    let mut written = written.map_err(|error| ApiError::internal(&error))?;
    let kind = written["kind"].as_str().and_then(PusherKind::named);
    let kind =
        kind.ok_or_else(|| ApiError::invalid_param("This server has no pushers of this kind"))?;
    let Value::Object(data) = written["data"].take() else {
        return Err(ApiError::failure());
    };
    Ok(Pusher {
        kind,
        app_id: pusher.ids.app_id,
        pushkey: pusher.ids.pushkey,
        app_display_name: pusher.app_display_name,
        device_display_name: pusher.device_display_name,
        profile_tag: pusher.profile_tag,
        lang: pusher.lang,
        data,
    })
}
