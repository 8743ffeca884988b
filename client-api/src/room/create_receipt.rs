//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`: client-server API, "Receipts".

use actix_web::web;
use engine::{Engine, ReceiptThread};
use ruma::api::client::receipt::create_receipt::v3::{Request, Response};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Says up to where the user has read.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let (kind, thread) = (body.receipt_type.as_str(), thread(body.thread)?);
    let room = engine.room(&body.room_id).await?;
    room.set_receipt(&requester, kind, &body.event_id, thread)
        .await?;
    Ok(Reply(Response::new()))
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
