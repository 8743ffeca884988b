//! What other servers get from us: events and receipts of our users.
//!
//! The one log says what there is to send. A dispatcher follows it, finds out which servers are in the room of
//! each event of ours, and puts it into their queues; a task for each server with something in its queue sends
//! transactions. What has arrived is stored from time to time: one position for all servers that keep up, and one for
//! each that does not. So a restart sends some events twice, which does no harm, and loses none.

mod audience;
mod backoff;
mod destination;
mod queue;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ruma::{EventId, OwnedServerName, ServerName};
use spec::json::{Object, Value};
use storage::{
    Limit, Listener, Logged, Plain, Position, RoomRow, Store, Write, events, events::StoredEvent,
    outbox, receipts,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout},
};
use tracing::warn;

use self::{
    audience::{Audiences, server_of},
    destination::{Destination, row, wire},
    queue::{Queue, Receipt},
};
use crate::{Clock, client::Client};

/// How many events are read at once.
const PAGE: u64 = 200;

/// How often what has arrived is stored, and the log looked at without being called.
const KEPT_EVERY: Duration = Duration::from_secs(2);

/// How long to wait for more after a commit, so that a busy server does not read its log for each of them.
const GATHER: Duration = Duration::from_millis(4);

/// The queues for other servers.
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    client: Arc<Client>,
    clock: Clock,
    own: OwnedServerName,
    runtime: Handle,
    audiences: Audiences,
    destinations: Mutex<BTreeMap<OwnedServerName, Arc<Destination>>>,
    news: Arc<News>,
    txn_ids: AtomicU64,
}

/// Hears of every commit.
struct News {
    wake: Notify,
    /// The rooms whose members have changed.
    changed: Mutex<BTreeSet<RoomRow>>,
}

impl Listener for News {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        for (_, change) in changes {
            if let Logged::Event(new) = &**change
                && new.membership.is_some()
            {
                self.changed().insert(new.room);
            }
        }
        self.wake.notify_one();
    }
}

impl News {
    fn take_changed(&self) -> BTreeSet<RoomRow> {
        std::mem::take(&mut *self.changed())
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<RoomRow>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was stored last.
#[derive(Default)]
struct Kept {
    floor: Option<Position>,
    behind: BTreeMap<OwnedServerName, outbox::Destination>,
}

impl Outbound {
    /// Queues that are empty. Nothing is sent before [`Outbound::run`].
    pub(crate) fn new(store: Store, client: Arc<Client>, clock: Clock, own: &ServerName) -> Self {
        let news = Arc::new(News {
            wake: Notify::new(),
            changed: Mutex::default(),
        });
        store.subscribe(Arc::clone(&news) as Arc<dyn Listener>);
        let inner = Inner {
            audiences: Audiences::new(store.clone(), own.to_owned()),
            store,
            client,
            clock,
            own: own.to_owned(),
            runtime: Handle::current(),
            destinations: Mutex::default(),
            news,
            txn_ids: AtomicU64::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends what there is to send, for ever. It may be started again after a panic.
    pub async fn run(&self) {
        let inner = &self.inner;
        let mut kept = Kept::default();
        let mut at = loop {
            match inner.start(&mut kept).await {
                Ok(at) => break at,
                Err(error) => warn!(%error, "what was sent to other servers cannot be read"),
            }
            tokio::time::sleep(KEPT_EVERY).await;
        };
        let mut kept_last = Instant::now();
        loop {
            match inner.dispatch(at).await {
                Ok(dispatched) => at = dispatched,
                Err(error) => {
                    warn!(%error, "the log cannot be read for other servers");
                    tokio::time::sleep(KEPT_EVERY).await;
                }
            }
            if kept_last.elapsed() >= KEPT_EVERY {
                inner.keep(at, &mut kept).await;
                kept_last = Instant::now();
            }
            // Called or not: the log is looked at, and what has arrived is kept.
            let _ = timeout(KEPT_EVERY, inner.news.wake.notified()).await;
            tokio::time::sleep(GATHER).await;
        }
    }

    /// A server has sent us something, so it can be reached.
    pub(crate) fn heard_from(&self, server: &ServerName) {
        let destination = self.inner.destinations().get(server).cloned();
        if let Some(destination) = destination {
            destination.heard_from(&self.inner);
        }
    }

    /// Passes an event of another server's user on, which that server has handed to us for all: server-server
    /// API, "Joining rooms". It waits in memory only; who misses it finds it from the events that follow.
    pub(crate) async fn pass_on(&self, event: &EventId, origin: &ServerName) {
        if let Err(error) = self.inner.pass_on(event, origin).await {
            warn!(%error, "an event cannot be passed on");
        }
    }
}

impl Inner {
    /// Reads what was stored, and returns from where to follow the log.
    async fn start(self: &Arc<Self>, kept: &mut Kept) -> storage::Result<Position> {
        let db = self.store.reader();
        let floor = outbox::floor(db).await?;
        let floor = floor.unwrap_or_else(|| self.store.position());
        for stored in outbox::behind(db).await? {
            let Ok(server) = OwnedServerName::try_from(stored.server.as_str()) else {
                continue;
            };
            let mut queue = Queue::new(stored.sent);
            queue.fall_behind();
            queue.failures = u32::try_from(stored.failures).unwrap_or(0);
            queue.retry_ms = stored.retry_ts;
            kept.behind.insert(server.clone(), stored);
            let destination = Arc::clone(
                self.destinations()
                    .entry(server.clone())
                    .or_insert_with(|| Destination::new(server, queue)),
            );
            destination.start(self);
        }
        kept.floor = Some(floor);
        Ok(floor)
    }

    /// Puts what was logged after `at` into the queues; returns up to where.
    async fn dispatch(self: &Arc<Self>, mut at: Position) -> storage::Result<Position> {
        loop {
            let to = self.store.position();
            if to <= at {
                return Ok(at);
            }
            let limit = Limit::new(PAGE);
            let page = outbox::sent_by(self.store.reader(), &self.own, at, to, limit).await?;
            let is_last = (page.len() as u64) < PAGE;
            let reached = match page.last().and_then(|event| event.position) {
                Some(last) if !is_last => last,
                _ => to,
            };
            for event in &page {
                self.dispatch_event(event).await?;
            }
            self.dispatch_receipts(at, reached).await?;
            at = reached;
        }
    }

    async fn dispatch_event(self: &Arc<Self>, event: &StoredEvent) -> storage::Result<()> {
        let mut servers = self.servers(event.room).await?;
        let is_member = event.event_type == "m.room.member";
        if servers.is_empty() && !is_member {
            return Ok(());
        }
        let (Some(position), Some(object)) = (event.position, wire(event)) else {
            return Ok(());
        };
        if is_member {
            servers.extend(removed_from(&object).filter(|server| *server != self.own));
        }
        for server in servers {
            self.push(&server, position, |queue| {
                queue.push(position, object.clone());
            });
        }
        Ok(())
    }

    /// The other servers in a room, as it is now.
    async fn servers(&self, room: RoomRow) -> storage::Result<BTreeSet<OwnedServerName>> {
        for changed in self.news.take_changed() {
            self.audiences.forget(changed);
        }
        let audience = self.audiences.of(room).await?;
        Ok(audience.map_or_else(BTreeSet::new, |audience| audience.servers.clone()))
    }

    async fn dispatch_receipts(
        self: &Arc<Self>,
        from: Position,
        to: Position,
    ) -> storage::Result<()> {
        let own = format!(":{}", self.own);
        for receipt in receipts::changed(self.store.reader(), from, to).await? {
            if receipt.kind != "m.read" || !receipt.user_id.ends_with(&own) {
                continue;
            }
            let Some(audience) = self.audiences.of(receipt.room).await? else {
                continue;
            };
            for server in &audience.servers {
                let key = (
                    audience.room_id.to_string(),
                    receipt.user_id.clone(),
                    receipt.thread_id.clone(),
                );
                let read = Receipt {
                    event_id: receipt.event_id.clone(),
                    ts: receipt.ts,
                };
                self.push(server, receipt.position, |queue| {
                    queue.push_receipt(key, read)
                });
            }
        }
        Ok(())
    }

    async fn pass_on(
        self: &Arc<Self>,
        event: &EventId,
        origin: &ServerName,
    ) -> storage::Result<()> {
        let Some(event) = events::by_id(self.store.reader(), event).await? else {
            return Ok(());
        };
        let (Some(position), Some(object)) = (event.position, wire(&event)) else {
            return Ok(());
        };
        for server in self.servers(event.room).await? {
            if server != origin {
                self.push(&server, position, |queue| {
                    queue.refill(position, object.clone());
                });
            }
        }
        Ok(())
    }

    /// Changes the queue of a server, and has it sent. A new queue's server has everything before `position`.
    fn push(
        self: &Arc<Self>,
        server: &OwnedServerName,
        position: Position,
        change: impl FnOnce(&mut Queue),
    ) {
        let destination = Arc::clone(self.destinations().entry(server.clone()).or_insert_with(
            || {
                let before = Position(position.get() - 1);
                Destination::new(server.clone(), Queue::new(before))
            },
        ));
        destination.with(change);
        destination.start(self);
    }

    /// Stores what has arrived, if that has changed. Forgets servers that have everything.
    async fn keep(&self, at: Position, kept: &mut Kept) {
        let mut floor = at;
        let mut behind = BTreeMap::new();
        self.destinations().retain(|server, destination| {
            destination.with(|queue| {
                if let Some(sent) = queue.pending_after() {
                    if queue.is_behind() || queue.failures > 0 {
                        behind.insert(server.clone(), row(server, queue, sent));
                    } else {
                        floor = floor.min(sent);
                    }
                }
                !queue.is_done()
            })
        });
        let mut plain: Vec<Plain> = behind
            .iter()
            .filter(|(server, row)| kept.behind.get(*server) != Some(row))
            .map(|(_, row)| Plain::Destination(row.clone()))
            .collect();
        let done = kept
            .behind
            .keys()
            .filter(|server| !behind.contains_key(*server));
        plain.extend(done.map(|server| Plain::DestinationDelete {
            server: server.clone(),
        }));
        if kept.floor != Some(floor) {
            plain.push(Plain::OutboxFloor(floor));
        }
        if plain.is_empty() {
            return;
        }
        match self.store.write(Write::plain(plain)).await {
            Ok(_) => {
                *kept = Kept {
                    floor: Some(floor),
                    behind,
                };
            }
            Err(error) => warn!(%error, "what was sent to other servers cannot be written"),
        }
    }

    /// Unique for ever: by the time, and by a count within it.
    fn next_txn_id(&self) -> String {
        let count = self.txn_ids.fetch_add(1, Ordering::Relaxed);
        format!("{}-{count}", self.clock.now_ms())
    }

    fn destinations(&self) -> MutexGuard<'_, BTreeMap<OwnedServerName, Arc<Destination>>> {
        self.destinations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server of the user whom a member event takes out of the room, who should know of it.
fn removed_from(event: &Object) -> Option<OwnedServerName> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    if text(event.get("type"))? != "m.room.member" {
        return None;
    }
    let membership = text(event.get("content")?.get("membership"))?;
    if !matches!(membership.as_str(), "leave" | "ban") {
        return None;
    }
    server_of(&text(event.get("state_key"))?)
}
