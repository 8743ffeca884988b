//! Events that are sent later, unless somebody says otherwise: MSC4140. Calls use them to have a client leave that has
//! lost its connection.
//!
//! They are kept over a restart; what was due meanwhile is sent then. Whoever knows the id of one manages it.

use std::time::Duration;

use ruma::{OwnedUserId, RoomId, UserId};
use spec::json::{Object, Strictness, Value, encode, parse_object};
use storage::{
    Limit, Plain, Write,
    delayed_events::{self, DelayedEvent},
    events,
};

use crate::{Engine, Error, Requester, Result, Send, SetState, Subject};

/// The longest delay, in ms: a day.
const DELAY_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// How many events of one user may wait.
const WAITING_MAX: usize = 100;
/// How long is told what became of one, in ms: a week.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// The most that are told of one user.
const LIST_MAX: u64 = 500;
/// How many due events are taken in one go.
const DUE_MAX: u64 = 100;
/// The largest content in bytes: that of a whole event.
const CONTENT_BYTES_MAX: usize = 65_536;
/// The longest sleep between two looks, should the clock have been turned.
const SLEEP_MAX: Duration = Duration::from_secs(10);
/// The pause after the store has failed.
const PAUSE: Duration = Duration::from_secs(5);

/// What waits for all, once in an engine.
#[derive(Default)]
pub(crate) struct Delays {
    /// One after another: nothing is sent that is being taken back.
    alone: tokio::sync::Mutex<()>,
    /// Something is due earlier than was thought.
    changed: tokio::sync::Notify,
}

/// An event to be sent later.
#[derive(Clone, Debug)]
pub struct Delay {
    /// Its type.
    pub event_type: String,
    /// Of a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Object,
    /// How long it waits, in ms.
    pub delay_ms: i64,
    /// The client's transaction id.
    pub txn_id: Option<String>,
}

/// What is done to an event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayAction {
    /// It is not sent.
    Cancel,
    /// It waits once more from the beginning.
    Restart,
    /// It is sent now.
    Send,
}

impl DelayAction {
    /// By the name in requests.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "cancel" => Some(Self::Cancel),
            "restart" => Some(Self::Restart),
            "send" => Some(Self::Send),
            _ => None,
        }
    }
}

/// What became of an event.
struct End {
    outcome: &'static str,
    reason: &'static str,
    event_id: Option<String>,
    error: Option<String>,
}

impl End {
    fn cancelled(reason: &'static str) -> Self {
        Self {
            outcome: "cancel",
            reason,
            event_id: None,
            error: None,
        }
    }
}

impl Engine {
    /// Leaves an event with the server, to be sent later; returns the id by which it is managed. A repeated transaction gets
    /// the first one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]: the user is in no such room. [`Error::InvalidParam`]: a negative delay.
    /// [`Error::DelayTooLong`]. [`Error::TooLarge`]. [`Error::LimitExceeded`]: too many are waiting.
    /// [`Error::GuestAccessForbidden`].
    pub async fn delay_event(&self, by: &Requester, room: &RoomId, ask: Delay) -> Result<String> {
        if by.guest {
            // Later it is not known any more that they are one.
            return Err(Error::GuestAccessForbidden(
                "Guests cannot leave events to be sent later".to_owned(),
            ));
        }
        let room = self.room(room).await?;
        room.require_joined(by).await?;
        if ask.delay_ms < 0 {
            return Err(Error::InvalidParam("A delay cannot be negative".to_owned()));
        }
        if ask.delay_ms > DELAY_MS_MAX {
            return Err(Error::DelayTooLong {
                max_ms: DELAY_MS_MAX,
            });
        }
        let content = encode(&Value::Object(ask.content));
        if content.len() > CONTENT_BYTES_MAX {
            let sentence = format!("An event may have {CONTENT_BYTES_MAX} bytes");
            return Err(Error::TooLarge(sentence));
        }
        let device_id = by.device_id.as_ref().map(ToString::to_string);
        let key = ask.state_key.as_deref().unwrap_or_default();
        let txn = ask.txn_id.map(|id| {
            let device = device_id.as_deref().unwrap_or_default();
            format!("{device}/{}/{}/{key}/{id}", room.meta.row, ask.event_type)
        });
        let context = &self.context;
        let _alone = context.delays.alone.lock().await;
        let db = context.store.reader();
        let own = delayed_events::of_user(db, &by.user_id, Limit::new(LIST_MAX)).await?;
        if let Some(earlier) = own.iter().find(|own| txn.is_some() && own.txn == txn) {
            return Ok(earlier.delay_id.clone());
        }
        if own.iter().filter(|own| own.send_ts.is_some()).count() >= WAITING_MAX {
            return Err(Error::LimitExceeded {
                retry_after: Duration::from_secs(60),
            });
        }
        let now = context.clock.now_ms();
        let delay_id = context.chance.secret();
        let row = DelayedEvent {
            delay_id: delay_id.clone(),
            user_id: by.user_id.to_string(),
            device_id,
            room: room.meta.row,
            event_type: ask.event_type,
            state_key: ask.state_key,
            content,
            delay_ms: ask.delay_ms,
            running_since_ts: now,
            send_ts: Some(now.saturating_add(ask.delay_ms)),
            seen: context.store.position(),
            txn,
            finished_ts: None,
            outcome: None,
            reason: None,
            event_id: None,
            error: None,
        };
        let forgotten = Plain::DelayedEventsForgotten {
            finished_before_ts: now.saturating_sub(KEPT_MS),
        };
        let write = Write::plain(vec![forgotten, Plain::DelayedEvent(Box::new(row))]);
        context.store.write(write).await?;
        context.delays.changed.notify_one();
        Ok(delay_id)
    }

    /// The events that a user has left with the server: those that wait, and what became of others; the newest first.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn delayed_events(
        &self,
        by: &Requester,
    ) -> Result<Vec<(ruma::OwnedRoomId, DelayedEvent)>> {
        let context = &self.context;
        let _alone = context.delays.alone.lock().await;
        let db = context.store.reader();
        let mut own = delayed_events::of_user(db, &by.user_id, Limit::new(LIST_MAX)).await?;
        let mut ended = false;
        for waiting in own.iter().filter(|own| own.send_ts.is_some()) {
            if self.is_superseded(waiting).await? {
                self.end(waiting, End::cancelled("error")).await?;
                ended = true;
            }
        }
        if ended {
            own = delayed_events::of_user(db, &by.user_id, Limit::new(LIST_MAX)).await?;
        }
        let rows: Vec<_> = own.iter().map(|own| own.room).collect();
        let metas = context.metas.by_rows(&rows).await?;
        let rooms = metas.iter().map(|meta| meta.id.clone());
        Ok(rooms.zip(own).collect())
    }

    /// Does something to an event that waits, for whoever knows its id.
    ///
    /// # Errors
    /// [`Error::NotFound`]: none waits under this id. When it is sent, those of sending.
    pub async fn change_delayed_event(&self, delay_id: &str, action: DelayAction) -> Result<()> {
        let context = &self.context;
        let _alone = context.delays.alone.lock().await;
        let not_found = || Error::NotFound(Subject::DelayedEvent);
        let found = delayed_events::one(context.store.reader(), delay_id).await?;
        let waiting = found.filter(|found| found.send_ts.is_some());
        let waiting = waiting.ok_or_else(not_found)?;
        if self.is_superseded(&waiting).await? {
            self.end(&waiting, End::cancelled("error")).await?;
            return Err(not_found());
        }
        match action {
            DelayAction::Cancel => self.end(&waiting, End::cancelled("action")).await,
            DelayAction::Send => self.send_delayed(&waiting, "action").await,
            DelayAction::Restart => {
                let now = context.clock.now_ms();
                self.put(DelayedEvent {
                    running_since_ts: now,
                    send_ts: Some(now.saturating_add(waiting.delay_ms)),
                    ..waiting
                })
                .await
            }
        }
    }

    /// Sends what is due. Never returns; to be run in the background.
    pub async fn run_delayed_events(&self) {
        loop {
            let pause = match self.send_due_events().await {
                Ok(None) => SLEEP_MAX,
                Ok(Some(next_ts)) => {
                    let wait_ms = next_ts.saturating_sub(self.context.clock.now_ms());
                    Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(SLEEP_MAX)
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "delayed events have to wait");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.context.delays.changed.notified() => {}
            }
        }
    }

    /// Sends what is due by now; returns when the next one is, in ms.
    pub(crate) async fn send_due_events(&self) -> Result<Option<i64>> {
        let context = &self.context;
        loop {
            let _alone = context.delays.alone.lock().await;
            let db = context.store.reader();
            let due = delayed_events::due(db, context.clock.now_ms(), Limit::new(DUE_MAX)).await?;
            if due.is_empty() {
                return Ok(delayed_events::next_ts(db).await?);
            }
            for due in due {
                if self.is_superseded(&due).await? || self.is_gone(&due.user_id).await? {
                    self.end(&due, End::cancelled("error")).await?;
                    continue;
                }
                // Of all else it is told what became of it.
                if let Err(error @ Error::Store(_)) = self.send_delayed(&due, "delay").await {
                    return Err(error);
                }
            }
        }
    }

    /// Sends an event and keeps what became of it. A second try after a crash makes no second event: the id is its
    /// transaction.
    async fn send_delayed(&self, waiting: &DelayedEvent, reason: &'static str) -> Result<()> {
        let sent = self.try_send(waiting).await;
        match &sent {
            Ok(event_id) => {
                let end = End {
                    outcome: "send",
                    reason,
                    event_id: Some(event_id.to_string()),
                    error: None,
                };
                self.end(waiting, end).await?;
            }
            Err(Error::Store(_)) => {}
            Err(error) => {
                let why = match error {
                    Error::Internal(_) => {
                        let error = error as &dyn std::error::Error;
                        tracing::error!(error, "a delayed event could not be sent");
                        "the server failed".to_owned()
                    }
                    refusal => refusal.to_string(),
                };
                let end = End {
                    error: Some(why),
                    ..End::cancelled("error")
                };
                self.end(waiting, end).await?;
            }
        }
        sent.map(drop)
    }

    async fn try_send(&self, waiting: &DelayedEvent) -> Result<ruma::OwnedEventId> {
        let device = waiting.device_id.as_deref().unwrap_or("delayed");
        let by = Requester {
            user_id: owner(waiting)?,
            device_id: Some(device.into()),
            admin: false,
            guest: false,
        };
        let content = parse_object(waiting.content.as_bytes(), Strictness::Lenient)
            .map_err(|error| Error::Internal(format!("a stored content is no JSON: {error}")))?;
        let room = self.rooms().by_row(waiting.room).await?;
        let event_type = waiting.event_type.clone();
        match waiting.state_key.clone() {
            Some(state_key) => {
                let set = SetState {
                    event_type,
                    state_key,
                    content,
                };
                room.set_state(&by, set).await
            }
            None => {
                let send = Send {
                    event_type,
                    content,
                    txn_id: Some(waiting.delay_id.clone()),
                };
                room.send(&by, send).await
            }
        }
    }

    /// Whether somebody else has set the same state since.
    async fn is_superseded(&self, waiting: &DelayedEvent) -> Result<bool> {
        let Some(state_key) = &waiting.state_key else {
            return Ok(false);
        };
        let room = self.rooms().by_row(waiting.room).await?;
        let Some(key) = room.state_key(&waiting.event_type, state_key).await? else {
            return Ok(false);
        };
        let Some(row) = room.current_state().await?.get(&key).copied() else {
            return Ok(false);
        };
        let stored = events::by_rows(self.context.store.reader(), &[row]).await?;
        Ok(stored.iter().any(|stored| {
            stored.sender != waiting.user_id
                && stored
                    .position
                    .is_some_and(|position| position > waiting.seen)
        }))
    }

    async fn is_gone(&self, user_id: &str) -> Result<bool> {
        let Ok(user_id) = UserId::parse(user_id) else {
            return Ok(true);
        };
        let account = self.accounts().account(&user_id).await?;
        Ok(account.is_some_and(|account| account.deactivated))
    }

    async fn end(&self, waiting: &DelayedEvent, end: End) -> Result<()> {
        self.put(DelayedEvent {
            send_ts: None,
            finished_ts: Some(self.context.clock.now_ms()),
            outcome: Some(end.outcome.to_owned()),
            reason: Some(end.reason.to_owned()),
            event_id: end.event_id,
            error: end.error,
            ..waiting.clone()
        })
        .await
    }

    async fn put(&self, row: DelayedEvent) -> Result<()> {
        let plain = Plain::DelayedEvent(Box::new(row));
        self.context.store.write(Write::plain(vec![plain])).await?;
        Ok(())
    }
}

fn owner(waiting: &DelayedEvent) -> Result<OwnedUserId> {
    UserId::parse(&waiting.user_id)
        .map_err(|error| Error::Internal(format!("a stored user id: {error}")))
}
