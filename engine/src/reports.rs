//! Reports to those who run the server: client-server API, "Reporting Content".

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use ruma::{EventId, OwnedRoomId, RoomId, UserId};
use spec::object;
use storage::{
    Limit, Plain, Write, accounts,
    entity::report,
    reports::{self, OfEvents, Report},
    summaries,
};

use crate::{Engine, Error, Requester, Result, Subject, notices::Notice};

/// The longest reason in bytes.
const REASON_BYTES_MAX: usize = 10_000;
/// How many reports one user may make in [`PERIOD_MS`]: people read them.
const REPORTS_MAX: u64 = 100;
/// How much of a reason is told in a notice, in characters; the report has all of it.
const REASON_CHARS_TOLD: usize = 500;
/// How many administrators are told of a report.
const ADMINS_TOLD_MAX: u64 = 20;
/// A day, in ms.
const PERIOD_MS: i64 = 24 * 60 * 60 * 1000;
/// When somebody who reports too much may try again.
const RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is said about an event, a room or a user.
#[derive(Clone, Debug, Default)]
pub struct Complaint {
    /// Why it is reported.
    pub reason: Option<String>,
    /// How bad it is, from -100 (most) to 0; only clients of before 2025 say it of events.
    pub score: Option<i64>,
}

/// Which reports of events an administrator wants to see.
#[derive(Clone, Debug, Default)]
pub struct ReportsAsk {
    /// Of events in this room.
    pub room_id: Option<String>,
    /// By this user.
    pub reporter: Option<String>,
    /// Of events that this user has sent.
    pub sender: Option<String>,
    /// Whether the oldest come first.
    pub oldest_first: bool,
    /// How many to leave out.
    pub from: u64,
    /// How many, at most.
    pub limit: u64,
}

/// A report, and what its room is called now.
#[derive(Clone, Debug)]
pub struct SeenReport {
    /// The report.
    pub report: Report,
    /// The name of the room.
    pub room_name: Option<String>,
    /// Its main alias.
    pub room_alias: Option<String>,
}

/// Some reports.
#[derive(Clone, Debug)]
pub struct ReportsPage {
    /// The reports.
    pub reports: Vec<SeenReport>,
    /// How many there are in all.
    pub total: u64,
}

impl Engine {
    /// Reports of events, for administrators.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `by` is none.
    pub async fn event_reports(&self, by: &Requester, ask: ReportsAsk) -> Result<ReportsPage> {
        by.require_admin()?;
        let db = self.context.store.reader();
        let wanted = OfEvents {
            room_id: ask.room_id,
            reporter: ask.reporter,
            sender: ask.sender,
            oldest_first: ask.oldest_first,
        };
        let found = reports::of_events(db, &wanted, ask.from, Limit::new(ask.limit)).await?;
        Ok(ReportsPage {
            reports: self.with_rooms(found).await?,
            total: reports::of_events_count(db, &wanted).await?,
        })
    }

    /// One report of an event, for administrators.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `by` is none. [`Error::NotFound`]: there is no such report.
    pub async fn event_report(&self, by: &Requester, id: i64) -> Result<SeenReport> {
        by.require_admin()?;
        let found = reports::by_id(self.context.store.reader(), id).await?;
        let found = found.filter(|report| report.event_id.is_some());
        let mut seen = self.with_rooms(found.into_iter().collect()).await?;
        seen.pop().ok_or(Error::NotFound(Subject::Report))
    }

    /// Deletes a report of an event, for administrators.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: `by` is none. [`Error::NotFound`]: there is no such report.
    pub async fn delete_event_report(&self, by: &Requester, id: i64) -> Result<()> {
        self.event_report(by, id).await?;
        let deleted = Plain::ReportDelete { id };
        self.context
            .store
            .write(Write::plain(vec![deleted]))
            .await?;
        Ok(())
    }

    /// The same reports, with what their rooms are called. Two queries at most for 256 rooms.
    async fn with_rooms(&self, found: Vec<Report>) -> Result<Vec<SeenReport>> {
        let ids: BTreeSet<OwnedRoomId> = found
            .iter()
            .filter_map(|report| RoomId::parse(report.room_id.as_deref()?).ok())
            .collect();
        let ids: Vec<OwnedRoomId> = ids.into_iter().collect();
        let metas = self.context.metas.by_ids(&ids).await?;
        let rows: Vec<_> = metas.iter().map(|meta| meta.row).collect();
        let shown = summaries::by_rows(self.context.store.reader(), &rows).await?;
        let shown: HashMap<_, _> = shown.into_iter().map(|shown| (shown.room, shown)).collect();
        let rooms: HashMap<&str, _> = metas
            .iter()
            .filter_map(|meta| Some((meta.id.as_str(), shown.get(&meta.row)?)))
            .collect();
        let with_room = |report: Report| {
            let room = report.room_id.as_deref().and_then(|id| rooms.get(id));
            SeenReport {
                room_name: room.and_then(|room| room.name.clone()),
                room_alias: room.and_then(|room| room.canonical_alias.clone()),
                report,
            }
        };
        Ok(found.into_iter().map(with_room).collect())
    }

    /// Reports an event, which is kept as it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such event, the user may not see it, or is not in the room.
    /// [`Error::InvalidParam`]: an overlong reason. [`Error::LimitExceeded`].
    pub async fn report_event(
        &self,
        by: &Requester,
        room: &RoomId,
        event: &EventId,
        complaint: Complaint,
    ) -> Result<()> {
        let not_found = || Error::NotFound(Subject::Event);
        let room = self.room(room).await.map_err(|error| match error {
            Error::NotFound(_) => not_found(),
            error => error,
        })?;
        match room.require_joined(by).await {
            Err(Error::Forbidden(_)) => return Err(not_found()),
            joined => joined?,
        }
        room.event(by, event).await?;
        let placed = room.placed(event).await?.ok_or_else(not_found)?;
        let report = report::Model {
            room_id: Some(room.meta.id.to_string()),
            event_id: Some(event.to_string()),
            user_id: Some(placed.event.sender().to_string()),
            event_json: Some(placed.event.to_json()),
            ..self.report(by, complaint)
        };
        self.keep(by, report).await
    }

    /// Reports a room; nobody has to be in it for that.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server does not know it. [`Error::InvalidParam`]: an overlong reason.
    /// [`Error::LimitExceeded`].
    pub async fn report_room(
        &self,
        by: &Requester,
        room: &RoomId,
        complaint: Complaint,
    ) -> Result<()> {
        let room = self.room(room).await?;
        let report = report::Model {
            room_id: Some(room.meta.id.to_string()),
            ..self.report(by, complaint)
        };
        self.keep(by, report).await
    }

    /// Reports a user of any server.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such user of this server. [`Error::InvalidParam`]: an overlong reason.
    /// [`Error::LimitExceeded`].
    pub async fn report_user(
        &self,
        by: &Requester,
        user: &UserId,
        complaint: Complaint,
    ) -> Result<()> {
        if self.accounts().is_ours(user) && self.accounts().account(user).await?.is_none() {
            return Err(Error::NotFound(Subject::User));
        }
        let report = report::Model {
            user_id: Some(user.to_string()),
            ..self.report(by, complaint)
        };
        self.keep(by, report).await
    }

    /// The newest reports with an id below `before`; newest first.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn reports(&self, before: i64, limit: u64) -> Result<Vec<Report>> {
        let db = self.context.store.reader();
        Ok(reports::before(db, before, Limit::new(limit)).await?)
    }

    fn report(&self, by: &Requester, complaint: Complaint) -> report::Model {
        report::Model {
            // Given by the database.
            id: 0,
            received_ts: self.context.clock.now_ms(),
            reporter: by.user_id.to_string(),
            room_id: None,
            event_id: None,
            user_id: None,
            reason: complaint.reason,
            score: complaint.score,
            event_json: None,
        }
    }

    async fn keep(&self, by: &Requester, report: report::Model) -> Result<()> {
        let reason_bytes = report.reason.as_ref().map_or(0, String::len);
        if reason_bytes > REASON_BYTES_MAX {
            return Err(Error::InvalidParam(format!(
                "A reason may have {REASON_BYTES_MAX} bytes"
            )));
        }
        let store = &self.context.store;
        let since = report.received_ts.saturating_sub(PERIOD_MS);
        if reports::count_since(store.reader(), &by.user_id, since).await? >= REPORTS_MAX {
            return Err(Error::LimitExceeded {
                retry_after: RETRY_AFTER,
            });
        }
        tracing::info!(
            reporter = report.reporter,
            room = report.room_id,
            event = report.event_id,
            user = report.user_id,
            "something was reported"
        );
        let notice = sentence(&report);
        store
            .write(Write::plain(vec![Plain::Report(Box::new(report))]))
            .await?;
        if self.context.notices.settings.is_some() {
            let engine = self.clone();
            self.rooms().spawn(async move {
                if let Err(error) = engine.tell_administrators(&notice).await {
                    untold(&error);
                }
            });
        }
        Ok(())
    }

    /// Sends the administrators a notice of a report.
    async fn tell_administrators(&self, sentence: &str) -> Result<()> {
        let db = self.context.store.reader();
        let admins = accounts::admins(db, Limit::new(ADMINS_TOLD_MAX)).await?;
        for admin in admins.iter().filter_map(|admin| UserId::parse(admin).ok()) {
            let notice = Notice {
                user_id: admin,
                event_type: "m.room.message".to_owned(),
                state_key: None,
                content: object! { "msgtype" => "m.text", "body" => sentence },
                txn_id: None,
            };
            if let Err(error) = self.notify("report", notice).await {
                untold(&error);
            }
        }
        Ok(())
    }
}

fn untold(error: &Error) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "an administrator was not told of a report");
}

/// What administrators are told of a report.
fn sentence(report: &report::Model) -> String {
    let user = report.user_id.as_deref();
    let what = match (&report.event_id, &report.room_id, user) {
        (Some(event), Some(room), Some(user)) => {
            format!("the event {event} of {user} in the room {room}")
        }
        (Some(event), Some(room), None) => format!("the event {event} in the room {room}"),
        (None, Some(room), _) => format!("the room {room}"),
        _ => format!("the user {}", user.unwrap_or_default()),
    };
    let reporter = &report.reporter;
    // On one line, so that nobody passes for the server itself.
    let words = report.reason.as_deref().unwrap_or_default();
    let words: Vec<&str> = words.split_whitespace().collect();
    let reason: String = words.join(" ").chars().take(REASON_CHARS_TOLD).collect();
    match reason.is_empty() {
        false => format!("{reporter} reports {what}: {reason}"),
        true => format!("{reporter} reports {what}."),
    }
}
