//! Events that are sent later, unless somebody says otherwise: MSC4140. Calls use them to have a client leave that has
//! lost its connection.
//!
//! They are kept over a restart; what was due meanwhile is sent then. Whoever knows the id of one manages it. Rooms are
//! served side by side, so that one in which sending takes long (as its policy server is slow) holds up no other.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ruma::{OwnedUserId, RoomId, UserId};
use spec::json::{Object, Strictness, Value, encode, parse_object};
use storage::{
    Limit, Plain, RoomRow, Write,
    delayed_events::{self, DelayedEvent},
    events,
};
use tokio::{
    task::{self, JoinSet},
    time::Instant,
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
/// In how many rooms due events are sent at the same time. Many, as most of what takes long is waiting for a policy server.
const ROOMS_TOGETHER: usize = 256;
/// How long a room's turn may last; what is due there after that waits for the next one.
const TURN_MAX: Duration = Duration::from_secs(30);
/// The largest content in bytes: that of a whole event.
const CONTENT_BYTES_MAX: usize = 65_536;
/// The longest sleep between two looks, should the clock have been turned.
const SLEEP_MAX: Duration = Duration::from_secs(10);
/// The pause after the store has failed.
const PAUSE: Duration = Duration::from_secs(5);

/// What waits for all, once in an engine.
#[derive(Default)]
pub(crate) struct Delays {
    /// One decision after another: nothing is sent that is being taken back. Not held while something is sent.
    alone: tokio::sync::Mutex<()>,
    /// The ids of those that are being sent: nothing can be done to them any more.
    sending: Mutex<HashSet<String>>,
    /// Something is due earlier than was thought.
    changed: tokio::sync::Notify,
}

impl Delays {
    fn sending(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks an event as being sent for as long as the guard lives; `None` if it is already.
    fn claim(&self, delay_id: &str) -> Option<Sending<'_>> {
        let new = self.sending().insert(delay_id.to_owned());
        new.then(|| Sending {
            delays: self,
            delay_id: delay_id.to_owned(),
        })
    }
}

/// An event that is being sent.
struct Sending<'a> {
    delays: &'a Delays,
    delay_id: String,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.delays.sending().remove(&self.delay_id);
    }
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
        let txn = ask.txn_id.map(|id| {
            let key = ask.state_key.as_deref().unwrap_or_default();
            transaction(by, room.meta.row, &ask.event_type, key, &id)
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

    /// The id of the message that a user's device has left with the server under a transaction, if it has: the repetition
    /// of a request needs no content.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such room.
    pub async fn delayed_before(
        &self,
        by: &Requester,
        room: &RoomId,
        event_type: &str,
        txn_id: &str,
    ) -> Result<Option<String>> {
        let room = self.room(room).await?;
        let txn = transaction(by, room.meta.row, event_type, "", txn_id);
        let db = self.context.store.reader();
        let own = delayed_events::of_user(db, &by.user_id, Limit::new(LIST_MAX)).await?;
        let earlier = own.into_iter().find(|own| own.txn.as_ref() == Some(&txn));
        Ok(earlier.map(|earlier| earlier.delay_id))
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
            let sending = context.delays.sending().contains(&waiting.delay_id);
            if !sending && self.is_superseded(waiting).await? {
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
        let alone = context.delays.alone.lock().await;
        let not_found = || Error::NotFound(Subject::DelayedEvent);
        let waiting = self.still_wanted(delay_id).await?;
        let waiting = waiting.ok_or_else(not_found)?;
        match action {
            DelayAction::Cancel => self.end(&waiting, End::cancelled("action")).await,
            DelayAction::Send => {
                let _sending = context.delays.claim(delay_id).ok_or_else(not_found)?;
                drop(alone);
                self.send_delayed(&waiting, "action").await
            }
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
        let mut rooms = Rooms::default();
        loop {
            let pause = match self.begin_due_events(&mut rooms).await {
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
                Some(done) = rooms.tasks.join_next_with_id() => rooms.end(done),
            }
        }
    }

    /// Begins to send what is due by now, in rooms where nothing is being sent yet; returns when the next one is due in
    /// them, in ms, or `None` if some room has to be done first.
    async fn begin_due_events(&self, rooms: &mut Rooms) -> Result<Option<i64>> {
        let context = &self.context;
        while let Some(done) = rooms.tasks.try_join_next_with_id() {
            rooms.end(done);
        }
        let db = context.store.reader();
        while rooms.busy.len() < ROOMS_TOGETHER {
            let busy: Vec<RoomRow> = rooms.busy.values().copied().collect();
            let now = context.clock.now_ms();
            let due = delayed_events::due(db, now, &busy, Limit::new(DUE_MAX)).await?;
            if due.is_empty() {
                return Ok(delayed_events::next_ts(db, &busy).await?);
            }
            let mut by_room: BTreeMap<RoomRow, Vec<DelayedEvent>> = BTreeMap::new();
            for due in due {
                by_room.entry(due.room).or_default().push(due);
            }
            let free = ROOMS_TOGETHER - rooms.busy.len();
            for (room, due) in by_room.into_iter().take(free) {
                let engine = self.clone();
                rooms.begin(room, async move { engine.send_due(due).await });
            }
        }
        Ok(None)
    }

    /// Sends what is due in one room, in the order of its times.
    async fn send_due(&self, due: Vec<DelayedEvent>) -> Result<()> {
        let delays = &self.context.delays;
        let begun = Instant::now();
        for due in due {
            if begun.elapsed() > TURN_MAX {
                break;
            }
            if delays.sending().contains(&due.delay_id) {
                // By whoever knows its id. Then it is looked for no more.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let (due, _sending) = {
                let _alone = delays.alone.lock().await;
                let Some(due) = self.still_wanted(&due.delay_id).await? else {
                    continue;
                };
                // It may have been told to wait once more.
                let ripe = due
                    .send_ts
                    .is_some_and(|ts| ts <= self.context.clock.now_ms());
                match delays.claim(&due.delay_id).filter(|_| ripe) {
                    Some(sending) => (due, sending),
                    None => continue,
                }
            };
            // Of all else it is told what became of it.
            if let Err(error @ Error::Store(_)) = self.send_delayed(&due, "delay").await {
                return Err(error);
            }
        }
        Ok(())
    }

    /// An event that still waits, if somebody else's state has not taken its place and its sender has an account; otherwise
    /// it ends here.
    async fn still_wanted(&self, delay_id: &str) -> Result<Option<DelayedEvent>> {
        let found = delayed_events::one(self.context.store.reader(), delay_id).await?;
        let Some(waiting) = found.filter(|found| found.send_ts.is_some()) else {
            return Ok(None);
        };
        if self.context.delays.sending().contains(delay_id) {
            return Ok(None);
        }
        if self.is_superseded(&waiting).await? || self.is_gone(&waiting.user_id).await? {
            self.end(&waiting, End::cancelled("error")).await?;
            return Ok(None);
        }
        Ok(Some(waiting))
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
                self.set_state(&by, &room.meta.id, set).await
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

/// The rooms in which something is being sent, or nothing for a while after a failure.
#[derive(Default)]
struct Rooms {
    busy: HashMap<task::Id, RoomRow>,
    tasks: JoinSet<Result<()>>,
}

impl Rooms {
    fn begin(
        &mut self,
        room: RoomRow,
        turn: impl Future<Output = Result<()>> + std::marker::Send + 'static,
    ) {
        let task = self.tasks.spawn(turn);
        self.busy.insert(task.id(), room);
    }

    fn end(&mut self, done: Result<(task::Id, Result<()>), task::JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let room = self.busy.remove(&id);
        match done {
            Ok((_, Ok(()))) => return,
            Ok((_, Err(error))) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "delayed events of a room have to wait");
            }
            Err(error) => tracing::error!(%error, "a room's delayed events stopped"),
        }
        if let Some(room) = room {
            let rest = async {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            };
            self.begin(room, rest);
        }
    }
}

/// What a device's transaction is stored as.
fn transaction(by: &Requester, room: RoomRow, event_type: &str, key: &str, id: &str) -> String {
    let device = by.device_id.as_ref().map(|id| id.as_str());
    let device = device.unwrap_or_default();
    format!("{device}/{room}/{event_type}/{key}/{id}")
}

fn owner(waiting: &DelayedEvent) -> Result<OwnedUserId> {
    UserId::parse(&waiting.user_id)
        .map_err(|error| Error::Internal(format!("a stored user id: {error}")))
}
