//! `GET /_matrix/client/unstable/io.element.msc4308/thread_subscriptions`: MSC4308, for what sliding sync has left out.

use actix_web::web;
use engine::{Engine, ThreadSubscriptionChanges};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::RawAuthed, reply::Json};

/// Where it is.
pub(crate) const PATH: &str = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions";

/// How many changes a client gets that does not say.
const LIMIT_DEFAULT: u64 = 100;

#[derive(Deserialize)]
struct Query {
    dir: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u64>,
}

/// Answers with what has changed about the threads that the user follows, the newest changes first.
pub(crate) async fn handle(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let query: Query = ask.query()?;
    if query.dir.as_deref() != Some("b") {
        return Err(ApiError::invalid_param("\"dir\" has to be \"b\""));
    }
    if query.limit == Some(0) {
        return Err(ApiError::invalid_param("\"limit\" has to be at least 1"));
    }
    let span = (query.from.as_deref(), query.to.as_deref());
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let found = engine.thread_subscriptions(&requester, span, limit).await?;
    Ok(Json(written(&found, "end")))
}

/// The changes as clients read them, with where older ones are under the key `more`.
pub(crate) fn written(found: &ThreadSubscriptionChanges, more: &str) -> Value {
    let mut written = json!({});
    for change in &found.changes {
        let (kind, what) = match change.automatic {
            Some(automatic) => (
                "subscribed",
                json!({ "automatic": automatic, "bump_stamp": change.bump_stamp }),
            ),
            None => ("unsubscribed", json!({ "bump_stamp": change.bump_stamp })),
        };
        written[kind][change.room_id.as_str()][change.thread_root.as_str()] = what;
    }
    if let Some(before) = &found.before {
        written[more] = before.as_str().into();
    }
    written
}
