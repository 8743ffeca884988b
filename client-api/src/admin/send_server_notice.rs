//! `POST /_synapse/admin/v1/send_server_notice` and `PUT …/{txnId}`: Synapse, "Server Notices".

use actix_web::web;
use engine::{Engine, Notice, Requester};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use spec::json::{Strictness, parse_object};

use crate::{
    error::ApiError,
    extract::{RawAuthed, Untyped},
    reply::Json,
};

/// Without a transaction.
pub(crate) const PATH: &str = "/_synapse/admin/v1/send_server_notice";
/// With one.
pub(crate) const PATH_TXN: &str = "/_synapse/admin/v1/send_server_notice/{txn_id}";

#[derive(Deserialize)]
struct Body {
    user_id: OwnedUserId,
    #[serde(rename = "type")]
    event_type: Option<String>,
    state_key: Option<String>,
    content: Box<RawValue>,
}

/// Sends a notice to a user.
pub(crate) async fn post(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    send(&engine, &requester, &ask, None).await
}

/// The same once only.
pub(crate) async fn put(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let txn_id: String = ask.argument(0)?;
    send(&engine, &requester, &ask, Some(txn_id)).await
}

async fn send(
    engine: &Engine,
    requester: &Requester,
    ask: &Untyped,
    txn_id: Option<String>,
) -> Result<Json<Value>, ApiError> {
    requester.require_admin()?;
    let body: Body = ask.json()?;
    let content = parse_object(body.content.get().as_bytes(), Strictness::Strict)
        .map_err(|error| ApiError::bad_json(format!("The content does not fit: {error}")))?;
    let notice = Notice {
        user_id: body.user_id,
        event_type: body
            .event_type
            .unwrap_or_else(|| "m.room.message".to_owned()),
        state_key: body.state_key,
        content,
        txn_id,
    };
    let event_id = engine.send_notice(requester, notice).await?;
    Ok(Json(json!({ "event_id": event_id })))
}
