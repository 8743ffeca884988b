//! The keys of other servers: from memory, from the store, from their servers, and at last from notaries.
//!
//! A key once seen is never forgotten: what it signed must stay checkable when its server is long gone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use engine::peers::KeyName;
use futures_util::{StreamExt as _, stream};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use spec::sign::PublishedKey;
use storage::{Plain, Store, Write, remote_keys};
use tokio::sync::{Mutex, Semaphore};
use tracing::{debug, warn};

use super::{
    OwnKeys,
    known::{Known, Source},
    notary,
    published::Published,
};
use crate::{
    Clock,
    client::{Ask, AskError, Client},
    uri::Uri,
    x_matrix::RemoteKeys,
};

/// How many keys are in memory; the rest are in the store.
const KEYS_MAX: usize = 50_000;

/// How many servers' attempts are remembered.
const LANES_MAX: usize = 50_000;

/// How many servers are asked at the same time, by all who need keys.
const ASKED_AT_ONCE: usize = 64;

/// How long a server gets to answer for its keys.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The largest key document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 128 * 1024;

/// The shortest time between two questions to the same server, in milliseconds.
const PAUSE_MS: i64 = 5_000;

/// The longest, after failures, when old events need its keys.
const PAUSE_MAX_MS: i64 = 10 * 60 * 1_000;

/// What keys are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A request that the server has just sent: so it is there, whatever happened before.
    Request,
    /// Events, which may be old and their servers gone.
    Events,
}

/// All keys of other servers, and our own.
pub(crate) struct RemoteKeyRing {
    store: Store,
    client: Arc<Client>,
    own: OwnKeys,
    clock: Clock,
    notaries: Vec<OwnedServerName>,
    memory: Cache<KeyName, Arc<Known>>,
    /// Held while a server is asked, so that nobody else asks the same.
    lanes: Cache<OwnedServerName, Arc<Mutex<Lane>>>,
    at_once: Semaphore,
}

/// How asking a server went so far.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    /// When it was asked last, in milliseconds since the epoch.
    asked_ms: i64,
    /// Failures in a row.
    failures: u32,
}

impl RemoteKeyRing {
    /// A ring that asks `notaries`, in this order, for what servers do not tell themselves.
    pub(crate) fn new(
        store: Store,
        client: Arc<Client>,
        own: OwnKeys,
        clock: Clock,
        notaries: Vec<OwnedServerName>,
    ) -> Self {
        Self {
            store,
            client,
            own,
            clock,
            notaries,
            memory: Cache::new(KEYS_MAX),
            lanes: Cache::new(LANES_MAX),
            at_once: Semaphore::new(ASKED_AT_ONCE),
        }
    }

    /// The keys of these names, as far as they can be had. One whose known validity ends before `valid_at_ms`
    /// is asked for anew, and given as it is if that brings nothing.
    pub(crate) async fn get(
        &self,
        mut names: BTreeSet<KeyName>,
        valid_at_ms: i64,
        need: Need,
    ) -> HashMap<KeyName, PublishedKey> {
        let mut found = HashMap::new();
        names.retain(|name| match self.own_key(name) {
            Some(own) => found.insert(name.clone(), own).is_some(),
            None => name.server != *self.own.current().server(),
        });
        self.take(&mut names, &mut found, valid_at_ms).await;
        if !names.is_empty() {
            self.ask_servers(&names, need).await;
            self.take(&mut names, &mut found, valid_at_ms).await;
        }
        if !names.is_empty() {
            self.ask_notaries(&names, valid_at_ms).await;
            self.take(&mut names, &mut found, valid_at_ms).await;
        }
        found
    }

    /// Every key that is known of `server`, asking the server itself if `is_enough` says no to those that are.
    pub(crate) async fn of_server(
        &self,
        server: &ServerName,
        is_enough: impl Fn(&BTreeMap<String, Known>) -> bool,
    ) -> BTreeMap<String, Known> {
        let known = self.stored(server).await;
        if is_enough(&known) {
            return known;
        }
        self.ask_server(server, Need::Events).await;
        self.stored(server).await
    }

    pub(crate) fn own(&self) -> &OwnKeys {
        &self.own
    }

    /// Moves what is known from `names` to `found`; what should be asked for anew stays in `names` too.
    async fn take(
        &self,
        names: &mut BTreeSet<KeyName>,
        found: &mut HashMap<KeyName, PublishedKey>,
        valid_at_ms: i64,
    ) {
        self.load(names).await;
        names.retain(|name| {
            let Some(known) = self.memory.get(name) else {
                return true;
            };
            found.insert(name.clone(), known.published());
            !known.suffices_for(valid_at_ms)
        });
    }

    /// Brings from the store what is not in memory.
    async fn load(&self, names: &BTreeSet<KeyName>) {
        let absent: BTreeSet<&str> = names
            .iter()
            .filter(|name| !self.memory.contains_key(*name))
            .map(|name| name.server.as_str())
            .collect();
        if absent.is_empty() {
            return;
        }
        let rows = match remote_keys::of_servers(self.store.reader(), absent).await {
            Ok(rows) => rows,
            Err(error) => {
                warn!(%error, "the keys of other servers cannot be read");
                return;
            }
        };
        for row in rows {
            let Ok(server) = OwnedServerName::try_from(row.server.as_str()) else {
                continue;
            };
            let key_id = row.key_id.clone();
            let name = KeyName { server, key_id };
            if let Some(known) = Known::from_row(row)
                && !self.memory.contains_key(&name)
            {
                self.memory.insert(name, Arc::new(known));
            }
        }
    }

    async fn stored(&self, server: &ServerName) -> BTreeMap<String, Known> {
        match remote_keys::of_servers(self.store.reader(), [server.as_str()]).await {
            Ok(rows) => rows
                .into_iter()
                .filter_map(|row| Some((row.key_id.clone(), Known::from_row(row)?)))
                .collect(),
            Err(error) => {
                warn!(%error, "the keys of other servers cannot be read");
                BTreeMap::new()
            }
        }
    }

    async fn ask_servers(&self, names: &BTreeSet<KeyName>, need: Need) {
        let servers: BTreeSet<&ServerName> = names.iter().map(|name| &*name.server).collect();
        stream::iter(servers)
            .for_each_concurrent(ASKED_AT_ONCE, |server| self.ask_server(server, need))
            .await;
    }

    /// Asks a server for its keys and keeps the answer, unless it was asked too short a time ago.
    async fn ask_server(&self, server: &ServerName, need: Need) {
        let lane = self.lane(server);
        let mut lane = lane.lock().await;
        let now_ms = self.clock.now_ms();
        if now_ms < lane.asked_ms.saturating_add(lane.pause_ms(need)) {
            return;
        }
        // Never closed.
        let Ok(_turn) = self.at_once.acquire().await else {
            return;
        };
        let asked = self.fetch(server).await;
        let now_ms = self.clock.now_ms();
        lane.asked_ms = now_ms;
        match asked {
            Ok(published) => {
                lane.failures = 0;
                self.keep(&[published], Source::Itself, now_ms).await;
            }
            Err(error) => {
                lane.failures = lane.failures.saturating_add(1);
                debug!(%server, error = error.chain(), "a server does not tell its keys");
            }
        }
    }

    async fn fetch(&self, server: &ServerName) -> Result<Published, AskError> {
        let ask = Ask::get(Uri::new("/_matrix/key/v2/server"))
            .unsigned()
            .within(ANSWER_TIME, DOCUMENT_BYTES_MAX);
        let document = self.client.ask(server, ask).await?;
        Published::read(document, Some(server))
            .map_err(|error| AskError::invalid(server, format!("its keys: {error}")))
    }

    async fn ask_notaries(&self, names: &BTreeSet<KeyName>, valid_at_ms: i64) {
        let mut missing = names.clone();
        for notary in &self.notaries {
            missing.retain(|name| name.server != *notary);
            if missing.is_empty() {
                return;
            }
            self.ask_notary(notary, &mut missing, valid_at_ms).await;
        }
    }

    /// Asks one notary; what it told is no longer missing.
    async fn ask_notary(
        &self,
        notary: &ServerName,
        missing: &mut BTreeSet<KeyName>,
        valid_at_ms: i64,
    ) {
        let all: Vec<KeyName> = missing.iter().cloned().collect();
        for batch in all.chunks(notary::BATCH) {
            let ask = notary::ask(batch, valid_at_ms);
            let answer = match self.client.ask(notary, ask).await {
                Ok(answer) => answer,
                Err(error) => {
                    warn!(%notary, error = error.chain(), "a notary does not answer");
                    return;
                }
            };
            let signers = notary::signers(&answer, notary);
            let signers = Box::pin(self.get_directly(notary, signers)).await;
            let servers: BTreeSet<&ServerName> = batch.iter().map(|name| &*name.server).collect();
            let told = notary::read(answer, notary, &signers);
            let told: Vec<Published> = told
                .into_iter()
                .filter(|published| servers.contains(&*published.server))
                .collect();
            for published in &told {
                let told = |name: &KeyName| {
                    name.server == published.server
                        && published.keys.iter().any(|(id, _)| *id == name.key_id)
                };
                missing.retain(|name| !told(name));
            }
            self.keep(&told, Source::Notary, self.clock.now_ms()).await;
        }
    }

    /// These keys of one server, from memory, from the store, or from the server itself.
    async fn get_directly(
        &self,
        server: &ServerName,
        key_ids: BTreeSet<String>,
    ) -> HashMap<String, PublishedKey> {
        let server = server.to_owned();
        let mut names: BTreeSet<KeyName> = key_ids
            .into_iter()
            .map(|key_id| KeyName {
                server: server.clone(),
                key_id,
            })
            .collect();
        let mut found = HashMap::new();
        let now_ms = self.clock.now_ms();
        self.take(&mut names, &mut found, now_ms).await;
        if !names.is_empty() {
            self.ask_server(&server, Need::Events).await;
            self.take(&mut names, &mut found, now_ms).await;
        }
        let by_id = found.into_iter().map(|(name, key)| (name.key_id, key));
        by_id.collect()
    }

    /// Remembers what is news, and returns when it is on disk.
    async fn keep(&self, all: &[Published], source: Source, now_ms: i64) {
        let mut rows = Vec::new();
        for published in all {
            let server = &published.server;
            let before = self.stored(server).await;
            for (key_id, news) in Known::of(published, now_ms) {
                if let Some(before) = before.get(&key_id)
                    && !before.gives_way_to(&news, source)
                {
                    if before.key != news.key {
                        warn!(%server, key_id, "a server has another key under the ID of one that is valid");
                    }
                    continue;
                }
                rows.push(Plain::RemoteKey(news.row(server, &key_id)));
                let server = server.clone();
                self.memory
                    .insert(KeyName { server, key_id }, Arc::new(news));
            }
        }
        if rows.is_empty() {
            return;
        }
        // They are in memory all the same, and can be fetched again.
        if let Err(error) = self.store.write(Write::plain(rows)).await {
            warn!(%error, "the keys of other servers cannot be written");
        }
    }

    fn own_key(&self, name: &KeyName) -> Option<PublishedKey> {
        let current = self.own.current();
        if name.server != *current.server() {
            return None;
        }
        if name.key_id == current.key_id() {
            return Some(PublishedKey {
                key: current.public_key(),
                valid_until_ts: i64::MAX,
                expired_ts: None,
            });
        }
        let old = self.own.old().iter().find(|old| old.key_id == name.key_id);
        old.map(|old| PublishedKey {
            key: old.key,
            valid_until_ts: old.expired_ts,
            expired_ts: Some(old.expired_ts),
        })
    }

    fn lane(&self, server: &ServerName) -> Arc<Mutex<Lane>> {
        let Ok(lane) = self
            .lanes
            .get_or_insert_with(server, || Ok::<_, Infallible>(Arc::default()));
        lane
    }
}

impl Lane {
    /// How long to leave the server in peace after the last question.
    fn pause_ms(self, need: Need) -> i64 {
        match need {
            Need::Request => PAUSE_MS,
            Need::Events => (PAUSE_MS << self.failures.min(8)).min(PAUSE_MAX_MS),
        }
    }
}

impl RemoteKeys for RemoteKeyRing {
    fn key<'a>(
        &'a self,
        server: &'a ServerName,
        key_id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<PublishedKey>> + Send + 'a>> {
        let name = KeyName {
            server: server.to_owned(),
            key_id: key_id.to_owned(),
        };
        Box::pin(async move {
            let names = BTreeSet::from([name.clone()]);
            let mut found = self.get(names, self.clock.now_ms(), Need::Request).await;
            found.remove(&name)
        })
    }
}
