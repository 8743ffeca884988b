//! One other server: a task that brings it what it lacks, for as long as it lacks something and can be reached.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use ruma::OwnedServerName;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Inner, measure, queue::Queue};
use crate::{
    client::{Ask, AskError, Occasion},
    uri::Uri,
};

/// How long another server may work on a transaction.
const TRANSACTION_TIME: Duration = Duration::from_secs(60);

/// The largest answer to one, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// With these, a server says that it will never take a transaction as it is. All other refusals are about who asks, where
/// and when, and may be different the next time.
const NEVER: [u16; 3] = [400, 413, 422];

/// Another server.
pub(super) struct Destination {
    pub(super) server: OwnedServerName,
    state: Mutex<State>,
}

struct State {
    queue: Queue,
    /// Whether the task runs.
    running: bool,
}

/// What there is to do next.
enum Step {
    /// Look whether there is more.
    On,
    /// Nothing now.
    Rest,
}

impl Destination {
    /// A server with this queue.
    pub(super) fn new(server: OwnedServerName, queue: Queue) -> Arc<Self> {
        let state = Mutex::new(State {
            queue,
            running: false,
        });
        Arc::new(Self { server, state })
    }

    /// Changes the queue.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.state().queue)
    }

    /// Starts the task if there is something to do, the server is not left alone, and it does not run.
    pub(super) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        {
            let mut state = self.state();
            let waits = state.queue.retry_ms > inner.clock.now_ms();
            if state.running || waits || state.queue.is_done() {
                return;
            }
            state.running = true;
        }
        let (this, inner) = (Arc::clone(self), Arc::clone(inner));
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            let idle = Idle(&this);
            while matches!(this.step(&inner).await, Step::On) {}
            drop(idle);
            // Something may have come while it ended.
            this.start(&inner);
        });
    }

    /// The server has sent us something, so it can perhaps be reached.
    pub(super) fn heard_from(self: &Arc<Self>, inner: &Arc<Inner>) {
        if self.with(Queue::heard_from) {
            self.start(inner);
        }
    }

    /// One page of what was missed, or one transaction.
    async fn step(&self, inner: &Inner) -> Step {
        let now_ms = inner.clock.now_ms();
        if self.with(|queue| queue.retry_ms > now_ms) {
            return Step::Rest;
        }
        if let Some(after) = self.with(|queue| queue.wants_more()) {
            if let Err(error) = self.catch_up(inner, after).await {
                warn!(server = %self.server, %error, "what another server has missed cannot be read");
                self.with(|queue| queue.failed(now_ms, inner.chance()));
                return Step::Rest;
            }
            if self.with(|queue| queue.is_behind() && queue.len() == 0) {
                return Step::On;
            }
        }
        if let Some(after) = self.with(|queue| queue.wants_receipts()) {
            if let Err(error) = self.catch_up_receipts(inner, after).await {
                warn!(server = %self.server, %error, "what another server has missed cannot be read");
                self.with(|queue| queue.failed(now_ms, inner.chance()));
                return Step::Rest;
            }
            if self.with(|queue| queue.wants_receipts()).is_some() {
                return Step::On;
            }
        }
        let transaction = self.with(|queue| queue.transaction(now_ms, || inner.next_txn_id()));
        let Some(transaction) = transaction else {
            return Step::Rest;
        };
        let uri = Uri::new("/_matrix/federation/v1/send").segment(&transaction.id);
        let content = transaction.content(inner.own.as_str());
        let ask = Ask::with(Method::PUT, uri, content)
            .on(Occasion::Queue)
            .within(TRANSACTION_TIME, ANSWER_BYTES_MAX);
        let is_known_to_fail = self.with(|queue| queue.failures > 0);
        let _turn = inner.turn(is_known_to_fail).await;
        let since = Instant::now();
        let answer = inner.client.ask(&self.server, ask).await;
        self.heard(inner, answer.map(drop), transaction.events.len(), since)
    }

    fn heard(
        &self,
        inner: &Inner,
        answer: Result<(), AskError>,
        pdus: usize,
        since: Instant,
    ) -> Step {
        match answer {
            Ok(()) => {
                measure::arrived(pdus, since.elapsed());
                self.with(Queue::arrived);
                Step::On
            }
            Err(AskError::Stopping) => Step::Rest,
            Err(AskError::Refused {
                status,
                errcode,
                error,
                ..
            }) if NEVER.contains(&status) => {
                measure::refused();
                if self.with(Queue::refused) {
                    warn!(server = %self.server, status, errcode, error, "another server refuses an event for good");
                }
                Step::On
            }
            Err(error) => {
                measure::failed();
                debug!(server = %self.server, error = error.chain(), "another server cannot be reached");
                let wait = match error {
                    AskError::Status { retry_after, .. } => retry_after,
                    _ => None,
                };
                let now_ms = inner.clock.now_ms();
                self.with(|queue| {
                    queue.failed(now_ms, inner.chance());
                    queue.waits_for(now_ms, wait.unwrap_or_default());
                });
                Step::Rest
            }
        }
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
