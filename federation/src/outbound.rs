//! What other servers get from us: events that are ours to bring them, and ephemeral news of our users.
//!
//! The one log says what there is to send. A dispatcher follows it, finds out which servers were in the room of each
//! outgoing event, and puts it into their queues; a task for each server with something in its queue sends
//! transactions. What has arrived is stored from time to time: one position for all servers that keep up, and one for
//! each that does not. So a restart sends some events twice, which does no harm, and loses none.
//!
//! A queue holds a bounded number of events; what comes beyond, or while a server cannot be reached, stays in the store
//! and is read when its turn comes.

mod backoff;
mod catch_up;
mod destination;
mod dispatch;
mod edus;
mod keep;
mod measure;
mod news;
mod pdu;
mod presence;
mod queue;
mod typing;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use engine::{Engine, chance::Chance};
use ruma::{OwnedServerName, ServerName};
use storage::{Position, Store};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};
use tracing::{error, warn};

use self::{
    destination::Destination, dispatch::Trouble, keep::Kept, news::News, presence::Presence,
    queue::Queue, typing::Typing,
};
use crate::{Clock, Servers, client::Client};

/// How often what has arrived is stored, and the log looked at without being called.
const KEPT_EVERY: Duration = Duration::from_secs(2);

/// How long to wait for more after a commit, so that a busy server does not send each event by itself.
const GATHER: Duration = Duration::from_millis(4);

/// How many transactions are on their way at once: each is a connection.
const SENDING_MAX: usize = 500;

/// How many of them go to servers that could not be reached the last time, so that these do not take all the turns while
/// they are waited for.
const RETRYING_MAX: usize = 50;

/// How often the dispatcher comes back to an event whose audience it cannot find out, before it goes on without it.
const TRIES_MAX: u32 = 10;

/// Why something was not put into the queues.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the store cannot be read")]
    Store(#[from] storage::Error),
    #[error("the servers of a room cannot be found out")]
    Engine(#[from] engine::Error),
}

type Result<T> = std::result::Result<T, Error>;

/// The queues for other servers.
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    servers: Arc<Servers>,
    store: Store,
    client: Arc<Client>,
    clock: Clock,
    chance: Arc<Chance>,
    own: OwnedServerName,
    /// How many missed events are all sent; of more only the newest of each room are.
    catch_up_max: i64,
    runtime: Handle,
    destinations: Mutex<BTreeMap<OwnedServerName, Arc<Destination>>>,
    news: Arc<News>,
    /// Distinguishes the transactions of this start from those of earlier ones.
    start_id: String,
    txn_ids: AtomicU64,
    sending: Semaphore,
    retrying: Semaphore,
}

impl Outbound {
    /// Queues that are empty. Nothing is sent before [`Outbound::run`].
    pub(crate) fn new(
        engine: Engine,
        servers: Arc<Servers>,
        store: Store,
        client: Arc<Client>,
        clock: Clock,
        chance: Arc<Chance>,
        catch_up_max: u32,
    ) -> Self {
        let own = engine.server_name().to_owned();
        let news = Arc::new(News::after(store.position(), own.clone()));
        store.subscribe(&news);
        let inner = Inner {
            engine,
            servers,
            store,
            client,
            clock,
            start_id: chance.lower_case(12),
            chance,
            own,
            catch_up_max: i64::from(catch_up_max),
            runtime: Handle::current(),
            destinations: Mutex::default(),
            news,
            txn_ids: AtomicU64::new(0),
            sending: Semaphore::new(SENDING_MAX),
            retrying: Semaphore::new(RETRYING_MAX),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends what there is to send, until `stop`; then it notes what has arrived. It may be started again after a panic.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let inner = &self.inner;
        let mut kept = Kept::default();
        let mut at = loop {
            match inner.start(&mut kept).await {
                Ok(at) => break at,
                Err(cause) => warn!(%cause, "what was sent to other servers cannot be read"),
            }
            tokio::select! {
                () = &mut stop => return,
                () = sleep(KEPT_EVERY) => {}
            }
        };
        let (mut kept_last, mut tries) = (Instant::now(), 0);
        let (mut typing, mut presence) = (Typing::new(), Presence::new());
        loop {
            let trouble = match tries {
                ..TRIES_MAX => Trouble::Stops,
                _ => Trouble::IsPassed,
            };
            match inner.dispatch(at, trouble).await {
                Ok(dispatched) => (at, tries) = (dispatched, 0),
                Err(cause) => {
                    complain(&cause);
                    tries += 1;
                    sleep(KEPT_EVERY).await;
                }
            }
            if let Err(cause) = typing.tell(inner, at).await {
                complain(&cause);
            }
            if let Err(cause) = presence.tell(inner, at).await {
                complain(&cause);
            }
            if kept_last.elapsed() >= KEPT_EVERY {
                inner.keep(at, &mut kept).await;
                kept_last = Instant::now();
            }
            // Called or not: the log is looked at, and what has arrived is kept.
            tokio::select! {
                () = inner.news.wake.notified() => {}
                () = inner.engine.ephemeral_changed() => {}
                () = sleep(KEPT_EVERY) => {}
                () = &mut stop => return inner.keep(at, &mut kept).await,
            }
            sleep(GATHER).await;
        }
    }

    /// A server has sent us something, so it can perhaps be reached.
    pub(crate) fn heard_from(&self, server: &ServerName) {
        let destination = self.inner.destinations().get(server).cloned();
        if let Some(destination) = destination {
            destination.heard_from(&self.inner);
        }
    }
}

fn complain(cause: &Error) {
    let cause = cause as &dyn std::error::Error;
    error!(cause, "the log cannot be followed for other servers");
}

impl Inner {
    /// Changes the queue of a server, and has it sent. A new queue's server has everything before `position`.
    ///
    /// Only the dispatcher calls this: otherwise a queue could be forgotten as done while something is put into it.
    fn push(
        self: &Arc<Self>,
        server: &OwnedServerName,
        position: Position,
        change: impl FnOnce(&mut Queue),
    ) {
        if !self.servers.allow(server) {
            return;
        }
        let destination = Arc::clone(self.destinations().entry(server.clone()).or_insert_with(
            || {
                let before = Position(position.get() - 1);
                Destination::new(server.clone(), Queue::new(before))
            },
        ));
        destination.with(change);
        destination.start(self);
    }

    /// Waits for a turn to send.
    async fn turn(&self, is_known_to_fail: bool) -> Option<SemaphorePermit<'_>> {
        let turns = match is_known_to_fail {
            true => &self.retrying,
            false => &self.sending,
        };
        // Nobody closes it.
        turns.acquire().await.ok()
    }

    /// Unique for ever, so that no server takes a transaction for one that it has seen.
    fn next_txn_id(&self) -> String {
        let count = self.txn_ids.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{count}", self.clock.now_ms(), self.start_id)
    }

    fn chance(&self) -> u8 {
        self.chance.bytes::<1>()[0]
    }

    fn destinations(&self) -> MutexGuard<'_, BTreeMap<OwnedServerName, Arc<Destination>>> {
        self.destinations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
