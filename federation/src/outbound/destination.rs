//! One other server: a task that brings it what it lacks, for as long as it lacks something.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use ruma::OwnedServerName;
use spec::json::{Object, Strictness, parse_object};
use storage::{Limit, Position, RoomRow, events, events::StoredEvent, outbox, write::Outcome};
use tokio::{sync::Notify, time::timeout};
use tracing::{debug, warn};

use super::{Inner, queue::Queue};
use crate::{
    client::{Ask, AskError},
    uri::Uri,
};

/// How long another server may work on a transaction.
const TRANSACTION_TIME: Duration = Duration::from_secs(60);

/// The largest answer to one, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How many missed events are all sent; of more only the newest of each room is.
const CATCH_UP_MAX: u64 = 500;

/// Another server.
pub(super) struct Destination {
    pub(super) server: OwnedServerName,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    queue: Queue,
    /// Whether the task runs.
    running: bool,
}

impl Destination {
    /// A server with this queue.
    pub(super) fn new(server: OwnedServerName, queue: Queue) -> Arc<Self> {
        let state = Mutex::new(State {
            queue,
            running: false,
        });
        Arc::new(Self {
            server,
            state,
            wake: Notify::new(),
        })
    }

    /// Changes the queue.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.state().queue)
    }

    /// Starts the task if there is something to do and it does not run.
    pub(super) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        {
            let mut state = self.state();
            if state.running || state.queue.is_done() {
                return;
            }
            state.running = true;
        }
        let (this, inner) = (Arc::clone(self), Arc::clone(inner));
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            let idle = Idle(&this);
            while this.step(&inner).await {}
            drop(idle);
            // Something may have come while it ended.
            this.start(&inner);
        });
    }

    /// The server spoke to us: it can be reached.
    pub(super) fn heard_from(self: &Arc<Self>, inner: &Arc<Inner>) {
        let waiting = self.with(|queue| {
            let waiting = queue.retry_ms > 0;
            queue.retry_ms = 0;
            waiting
        });
        if waiting {
            self.wake.notify_one();
            self.start(inner);
        }
    }

    /// One transaction, or one pause. Returns whether there may be more to do.
    async fn step(&self, inner: &Inner) -> bool {
        let now_ms = inner.clock.now_ms();
        let pause_ms = self.with(|queue| queue.retry_ms.saturating_sub(now_ms));
        if let Ok(pause_ms @ 1..) = u64::try_from(pause_ms) {
            // Woken or not: whoever woke us has changed the time.
            let _ = timeout(Duration::from_millis(pause_ms), self.wake.notified()).await;
            return true;
        }
        if self.with(|queue| queue.behind)
            && let Err(error) = self.catch_up(inner).await
        {
            warn!(server = %self.server, %error, "what another server has missed cannot be read");
            self.with(|queue| {
                queue.fall_behind();
                queue.failed(now_ms);
            });
            return true;
        }
        let origin = inner.own.as_str();
        let transaction =
            self.with(|queue| queue.transaction(origin, now_ms, || inner.next_txn_id()));
        let Some(transaction) = transaction else {
            return false;
        };
        let uri = Uri::new("/_matrix/federation/v1/send").segment(&transaction.id);
        let ask = Ask::with(Method::PUT, uri, transaction.content)
            .within(TRANSACTION_TIME, ANSWER_BYTES_MAX);
        let answer = inner.client.ask(&self.server, ask).await;
        let now_ms = inner.clock.now_ms();
        match answer {
            Ok(_) => self.with(Queue::arrived),
            // It will say the same the next time.
            Err(AskError::Refused {
                status, errcode, ..
            }) if !matches!(status, 401 | 404) => {
                warn!(server = %self.server, status, errcode, "another server refuses a transaction");
                self.with(Queue::arrived);
            }
            Err(error) => {
                debug!(server = %self.server, error = error.chain(), "another server cannot be reached");
                self.with(|queue| queue.failed(now_ms));
            }
        }
        true
    }

    /// Reads from the store what the server has missed: everything, if that is not too much, else the newest
    /// event of each room, from which it finds the others.
    async fn catch_up(&self, inner: &Inner) -> storage::Result<()> {
        let after = self.with(Queue::catch_up);
        let (db, to) = (inner.store.reader(), inner.store.position());
        let rooms = outbox::rooms_of(db, &self.server).await?;
        let limit = Limit::new(CATCH_UP_MAX);
        let mut missed = outbox::sent_by_in(db, &inner.own, &rooms, after, to, limit).await?;
        if missed.len() as u64 >= CATCH_UP_MAX {
            let limit = Limit::MAX;
            missed = outbox::sent_by_in(db, &inner.own, &rooms, after, to, limit).await?;
            let newest: BTreeMap<RoomRow, StoredEvent> = missed
                .into_iter()
                .map(|event| (event.room, event))
                .collect();
            missed = newest.into_values().collect();
        }
        let removals = outbox::removals(db, &self.server, after).await?;
        let removals = events::by_rows(db, &removals).await?;
        let own = format!(":{}", inner.own);
        missed.extend(
            removals
                .into_iter()
                .filter(|event| event.sender.ends_with(&own) && event.outcome == Outcome::Accepted),
        );
        self.with(|queue| {
            for event in missed {
                if let (Some(position), Some(object)) = (event.position, wire(&event)) {
                    queue.refill(position, object);
                }
            }
            queue.caught_up();
        });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks the task as ended, even if it panics.
struct Idle<'a>(&'a Destination);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.state().running = false;
    }
}

/// A stored event as it travels.
pub(super) fn wire(event: &StoredEvent) -> Option<Object> {
    let mut object = parse_object(event.json.as_bytes(), Strictness::Lenient).ok()?;
    object.remove("unsigned");
    Some(object)
}

/// Up to where a server has everything, with the pause that it is in, as it is stored.
pub(super) fn row(server: &OwnedServerName, queue: &Queue, sent: Position) -> outbox::Destination {
    outbox::Destination {
        server: server.to_string(),
        sent,
        failures: i32::try_from(queue.failures).unwrap_or(i32::MAX),
        retry_ts: queue.retry_ms,
    }
}
