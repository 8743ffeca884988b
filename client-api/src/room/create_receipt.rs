//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`: client-server API, "Receipts".

use actix_web::web;
use engine::{Backwards, Engine, ReceiptThread, Requester, RoomHandle};
use ruma::{
    OwnedEventId,
    api::client::receipt::create_receipt::v3::{Request, Response},
};
use serde::Deserialize;

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Says up to where the user has read.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester,
        body,
        raw,
        ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let (kind, thread) = (body.receipt_type.as_str(), thread(body.thread)?);
    let room = engine.room(&body.room_id).await?;
    let backwards = backwards(&raw)?;
    take(&room, &requester, kind, body.event_id, thread, backwards).await?;
    Ok(Reply(Response::new()))
}

/// Takes a receipt.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: it goes back, and may not by its kind. Those of [`RoomHandle::set_receipt`].
pub(crate) async fn take(
    room: &RoomHandle,
    by: &Requester,
    kind: &str,
    event_id: OwnedEventId,
    thread: ReceiptThread,
    backwards: Backwards,
) -> Result<(), ApiError> {
    match (backwards, kind, &thread) {
        (Backwards::Allowed, "m.fully_read", ReceiptThread::Unthreaded) => {
            room.set_read_markers(by, Some(event_id), None, None, Backwards::Allowed)
                .await?;
        }
        (Backwards::Allowed, ..) => {
            return Err(ApiError::invalid_param(
                "Only m.fully_read, of no thread, may be moved back",
            ));
        }
        (Backwards::Ignored, ..) => room.set_receipt(by, kind, &event_id, thread).await?,
    }
    Ok(())
}

/// Whether the body of a request lets the marker of all that was read go back (MSC4446).
///
/// # Errors
/// 400 `M_BAD_JSON`: it says so otherwise than by true or false.
pub(crate) fn backwards(raw: &[u8]) -> Result<Backwards, ApiError> {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default, rename = "com.beeper.allow_backward")]
        allow_backward: bool,
    }
    let body: Body = match raw {
        [] => Body::default(),
        raw => serde_json::from_slice(raw)
            .map_err(|error| ApiError::bad_json(format!("The body does not fit: {error}")))?,
    };
    Ok(Backwards::allowed(body.allow_backward))
}

/// The thread of a receipt.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: neither `main` nor an event ID.
pub(crate) fn thread(
    thread: ruma::events::receipt::ReceiptThread,
) -> Result<ReceiptThread, ApiError> {
    use ruma::events::receipt::ReceiptThread as Wire;
    match thread {
        Wire::Unthreaded => Ok(ReceiptThread::Unthreaded),
        Wire::Main => Ok(ReceiptThread::Main),
        Wire::Thread(root) => Ok(ReceiptThread::Thread(root)),
        other => Err(ApiError::invalid_param(format!(
            "\"thread_id\" must be \"main\" or the ID of an event, not {:?}",
            other.as_str().unwrap_or_default()
        ))),
    }
}
