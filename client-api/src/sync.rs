//! `GET /_matrix/client/v3/sync`: client-server API, "Syncing".

use std::time::Duration;

use actix_web::web;
use engine::{Engine, Requester, sync::SyncAsk};
use ruma::api::{
    OutgoingResponseExt as _,
    client::{
        filter::FilterDefinition,
        sync::sync_events::v3::{Filter, Request, Response},
    },
};

use crate::{Shared, error::ApiError, extract::Authed, reply::Reply};

/// Answers with what is new since a token; waits for it where nothing is yet.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    shared: web::Data<Shared>,
    Authed {
        requester, body, ..
    }: Authed<Request>,
) -> Result<Reply<Response>, ApiError> {
    let timeout_max = Duration::from_millis(shared.settings.sync_timeout_ms_max);
    let ask = SyncAsk {
        since: body.since,
        filter: filter(&engine, &requester, body.filter).await?,
        timeout: body.timeout.unwrap_or_default().min(timeout_max),
        full_state: body.full_state,
        use_state_after: body.use_state_after,
    };
    let answered = tokio::select! {
        answered = engine.sync(&requester, &ask) => answered?,
        // A server that stops lets nobody wait: they come back to the next one.
        () = shared.sockets.stopping() => {
            engine.sync(&requester, &SyncAsk { timeout: Duration::ZERO, ..ask }).await?
        }
    };
    Ok(Reply(answered))
}

/// The filter that a client named or wrote out.
///
/// # Errors
/// 400 `M_INVALID_PARAM`: the user has no such filter.
pub(crate) async fn filter(
    engine: &Engine,
    requester: &Requester,
    filter: Option<Filter>,
) -> Result<FilterDefinition, ApiError> {
    match filter {
        None => Ok(FilterDefinition::default()),
        Some(Filter::FilterDefinition(filter)) => Ok(filter),
        Some(Filter::FilterId(id)) => {
            match engine.accounts().filter_definition(requester, &id).await {
                Err(engine::Error::NotFound(_)) => Err(ApiError::invalid_param(format!(
                    "You have no filter with the ID \"{id}\""
                ))),
                found => Ok(found?),
            }
        }
        Some(_) => Err(ApiError::invalid_param(
            "The filter is neither an ID nor a filter",
        )),
    }
}

/// Whether a body brings no news.
pub(crate) fn is_empty(body: &Response) -> bool {
    body.rooms.is_empty()
        && body.presence.is_empty()
        && body.account_data.is_empty()
        && body.to_device.is_empty()
        && body.device_lists.is_empty()
}

/// A body as JSON.
///
/// # Errors
/// It cannot be written, which is a fault of ours.
pub(crate) fn to_json(body: Response) -> Result<String, Box<dyn std::error::Error>> {
    Ok(String::from_utf8(
        body.try_into_http_response::<Vec<u8>>()?.into_body(),
    )?)
}
