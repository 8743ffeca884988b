//! `GET /_matrix/client/v3/notifications`: client-server API, "Listing notifications".

use actix_web::web;
use engine::{Engine, NotificationsAsk};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::push::get_notifications::v3::{Notification, Request, Response},
};

use crate::{error::ApiError, extract::Authed, reply::Reply};

/// Answers with what has notified the user, newest first.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let ask = NotificationsAsk {
        from: body.from,
        limit: body.limit.map(u64::from),
        only_highlights: body.only.as_deref() == Some("highlight"),
    };
    let page = engine.notifications(&requester, &ask).await?;
    let notifications = page.notifications.into_iter().map(|found| {
        let ts = UInt::new_saturating(u64::try_from(found.ts).unwrap_or_default());
        let ts = MilliSecondsSinceUnixEpoch(ts);
        Notification::new(found.actions, found.event, found.read, found.room_id, ts)
    });
    let mut response = Response::new(notifications.collect());
    response.next_token = page.next;
    Ok(Reply(response))
}
