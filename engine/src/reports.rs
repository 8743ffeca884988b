//! Reports to those who run the server: client-server API, "Reporting Content".

use std::time::Duration;

use ruma::{EventId, RoomId, UserId};
use storage::{Limit, Plain, Write, entity::report, reports};

use crate::{Engine, Error, Requester, Result, Subject};

/// The longest reason in bytes.
const REASON_BYTES_MAX: usize = 10_000;
/// How many reports one user may make in [`PERIOD_MS`]: people read them.
const REPORTS_MAX: u64 = 100;
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

impl Engine {
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
    pub async fn reports(&self, before: i64, limit: u64) -> Result<Vec<reports::Report>> {
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
        store
            .write(Write::plain(vec![Plain::Report(Box::new(report))]))
            .await?;
        Ok(())
    }
}
