//! `GET /_synapse/admin/v1/event_reports`, `GET` and `DELETE …/{reportId}`: Synapse, "Show reported events".

use actix_web::web;
use engine::{Engine, ReportsAsk, SeenReport};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error::ApiError, extract::RawAuthed, reply::Json};

/// The list.
pub(crate) const LIST: &str = "/_synapse/admin/v1/event_reports";
/// One of them.
pub(crate) const ONE: &str = "/_synapse/admin/v1/event_reports/{report_id}";

/// How many reports a page has where nobody says.
const LIMIT_DEFAULT: u64 = 100;
/// The most of one page.
const LIMIT_MAX: u64 = 500;

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    from: u64,
    limit: Option<u64>,
    dir: Option<String>,
    room_id: Option<String>,
    user_id: Option<String>,
    event_sender_user_id: Option<String>,
}

/// Answers with what has been reported of events.
pub(crate) async fn list(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let query: Query = ask.query()?;
    let oldest_first = match query.dir.as_deref() {
        None | Some("b") => false,
        Some("f") => true,
        Some(_) => return Err(ApiError::invalid_param("\"dir\" is \"b\" or \"f\"")),
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let wanted = ReportsAsk {
        room_id: query.room_id,
        reporter: query.user_id,
        sender: query.event_sender_user_id,
        oldest_first,
        from: query.from,
        limit,
    };
    let page = engine.event_reports(&requester, wanted).await?;
    let reports: Vec<Value> = page.reports.iter().map(shown).collect();
    let next = query.from.saturating_add(reports.len() as u64);
    let mut answer = json!({ "event_reports": reports, "total": page.total });
    if next < page.total {
        answer["next_token"] = next.into();
    }
    Ok(Json(answer))
}

/// Answers with one report, and the event as it was then.
pub(crate) async fn get(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    let seen = engine.event_report(&requester, ask.argument(0)?).await?;
    let mut answer = shown(&seen);
    let event = seen.report.event_json.as_deref();
    let event: Option<Value> = event.and_then(|json| serde_json::from_str(json).ok());
    answer["event_json"] = event.into();
    Ok(Json(answer))
}

/// Deletes one report.
pub(crate) async fn delete(
    engine: web::Data<Engine>,
    RawAuthed { requester, ask }: RawAuthed,
) -> Result<Json<Value>, ApiError> {
    engine
        .delete_event_report(&requester, ask.argument(0)?)
        .await?;
    Ok(Json(json!({})))
}

fn shown(seen: &SeenReport) -> Value {
    let report = &seen.report;
    json!({
        "id": report.id, "received_ts": report.received_ts, "room_id": report.room_id, "event_id": report.event_id,
        "user_id": report.reporter, "sender": report.user_id, "reason": report.reason, "score": report.score,
        "name": seen.room_name, "canonical_alias": seen.room_alias,
    })
}
