//! The keys of other servers: from memory, from the store, from their servers, and at last from notaries.
//!
//! A key once seen is not forgotten, unless its server has told many others since: what it signed must stay checkable when
//! its server is long gone.

mod lane;
mod notaries;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use engine::peers::KeyName;
use futures_util::{
    StreamExt as _,
    future::{Either, select},
    stream,
};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use spec::sign::PublishedKey;
use storage::{Plain, Store, Write, remote_keys, write::RemoteKeys as Told};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, warn};

use self::{lane::Lane, turns::Turns};
use super::{
    OwnKeys,
    known::{Known, Source},
    published::Published,
};
use crate::{
    Clock,
    client::{Ask, AskError, Client, Occasion},
    uri::Uri,
    x_matrix::RemoteKeys,
};

/// How many keys are in memory; the rest are in the store.
const KEYS_MAX: usize = 50_000;

/// How many servers' attempts are remembered.
const LANES_MAX: usize = 50_000;

/// How many servers are asked at the same time for one who needs keys.
const ASKED_AT_ONCE: usize = 64;

/// How long servers are waited for before notaries are asked as well. Most answer within a second; in a large room many
/// are gone.
const HEAD_START: Duration = Duration::from_secs(3);

/// How long the key of a request may take, whose sender waits.
const REQUEST_WITHIN: Duration = Duration::from_secs(20);

/// How long a server gets to answer for its keys.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The largest key document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 128 * 1024;

/// What keys are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A request that the server has just sent: so it is there, whatever happened before.
    Request,
    /// Events, which may be old and their servers gone.
    Events,
    /// Somebody who takes this server for a notary; anybody may.
    Others,
}

/// The keys that are wanted, each with the moment until which it should be valid, in milliseconds since the epoch.
type Wanted = BTreeMap<KeyName, i64>;

/// All keys of other servers, and our own.
pub(crate) struct RemoteKeyRing {
    store: Store,
    client: Arc<Client>,
    own: OwnKeys,
    clock: Clock,
    notaries: Vec<OwnedServerName>,
    memory: Cache<KeyName, Known>,
    /// Held while a server is asked, so that nobody else asks the same.
    lanes: Cache<OwnedServerName, Arc<Mutex<Lane>>>,
    /// The same for a notary that is asked for the keys of a server.
    /// By notary, server, and whether it is for a request: whoever makes up keys in those keeps none from events.
    notary_lanes: Cache<(OwnedServerName, OwnedServerName, bool), Arc<Mutex<Lane>>>,
    turns: Turns,
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
            notary_lanes: Cache::new(LANES_MAX),
            turns: Turns::default(),
        }
    }

    /// The keys of these names, as far as they can be had in this time. One whose known validity ends too early is asked
    /// for anew, and given as it is if that brings nothing.
    pub(crate) async fn get(
        &self,
        mut names: Wanted,
        within: Duration,
        need: Need,
    ) -> HashMap<KeyName, PublishedKey> {
        let mut found = HashMap::new();
        names.retain(|name, _| match self.own_key(name) {
            Some(own) => found.insert(name.clone(), own).is_some(),
            None => name.server != *self.own.current().server(),
        });
        self.take(&mut names, &mut found).await;
        // Without time nobody is asked: it would count as a question without an answer.
        if !names.is_empty() && !within.is_zero() {
            // What has come by then counts.
            let _ = timeout(within, self.fetch_all(&names, need)).await;
            self.take(&mut names, &mut found).await;
        }
        found
    }

    /// Every key that is known of `server`, asking the server itself if `is_enough` says no to those that are. After
    /// `until` nobody is waited for.
    pub(crate) async fn of_server(
        &self,
        server: &ServerName,
        until: Instant,
        is_enough: impl Fn(&BTreeMap<String, Known>) -> bool,
    ) -> BTreeMap<String, Known> {
        let known = self.stored(server).await;
        if is_enough(&known) || Instant::now() >= until {
            return known;
        }
        let _ = timeout_at(until, self.ask_server(server, Need::Others)).await;
        self.stored(server).await
    }

    pub(crate) fn own(&self) -> &OwnKeys {
        &self.own
    }

    /// Asks the servers, and notaries for what these do not tell, or not soon.
    async fn fetch_all(&self, names: &Wanted, need: Need) {
        let mut servers = pin!(self.ask_servers(names, need));
        if timeout(HEAD_START, &mut servers).await.is_ok() {
            self.ask_notaries(names, need).await;
            return;
        }
        let notaries = pin!(self.ask_notaries(names, need));
        let is_enough = || self.lacking(names).next().is_none();
        match select(servers, notaries).await {
            Either::Left(((), notaries)) if !is_enough() => notaries.await,
            Either::Right(((), servers)) if !is_enough() => servers.await,
            _ => {}
        }
    }

    /// Moves what is known from `names` to `found`; what should be asked for anew stays in `names` too.
    async fn take(&self, names: &mut Wanted, found: &mut HashMap<KeyName, PublishedKey>) {
        self.load(names).await;
        names.retain(|name, at| {
            let Some(known) = self.memory.get(name) else {
                return true;
            };
            found.insert(name.clone(), known.published());
            !known.suffices_for(*at)
        });
    }

    /// Those of `names` that are not known for as long as they should be valid.
    fn lacking<'a>(&'a self, names: &'a Wanted) -> impl Iterator<Item = (&'a KeyName, i64)> {
        let names = names.iter().map(|(name, at)| (name, *at));
        names.filter(|(name, at)| self.lacks(name, *at))
    }

    fn lacks(&self, name: &KeyName, at_ms: i64) -> bool {
        let known = self.memory.get(name);
        !known.is_some_and(|known| known.suffices_for(at_ms))
    }

    /// Brings from the store what is not in memory.
    async fn load(&self, names: &Wanted) {
        let absent: BTreeSet<&str> = names
            .keys()
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
                self.memory.insert(name, known);
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

    /// The documents of a server with these `valid_until_ts`, by them.
    pub(crate) async fn documents_of(
        &self,
        server: &ServerName,
        valid_until_ts: &[i64],
    ) -> BTreeMap<i64, String> {
        let found =
            remote_keys::documents(self.store.reader(), server.as_str(), valid_until_ts).await;
        found.unwrap_or_else(|error| {
            warn!(%error, "the keys of other servers cannot be read");
            BTreeMap::new()
        })
    }

    async fn ask_servers(&self, names: &Wanted, need: Need) {
        let servers: BTreeSet<&ServerName> = names.keys().map(|name| &*name.server).collect();
        stream::iter(servers)
            .for_each_concurrent(ASKED_AT_ONCE, |server| self.ask_server(server, need))
            .await;
    }

    /// Asks a server for its keys and keeps the answer, unless it was asked too short a time ago.
    async fn ask_server(&self, server: &ServerName, need: Need) {
        let lane = self.lane(server);
        let mut lane = lane.lock().await;
        let rests = need != Need::Request && self.client.is_resting(server);
        if rests || !lane.is_free(need, self.clock.now_ms()) {
            return;
        }
        // Never closed.
        let Ok(_turn) = self.turns.at_servers(need).acquire().await else {
            return;
        };
        lane.begins([], self.clock.now_ms());
        match self.fetch(server, need).await {
            Ok(published) => {
                let now_ms = self.clock.now_ms();
                lane.succeeded(now_ms);
                self.keep(&[published], Source::Itself, now_ms).await;
            }
            Err(error) => debug!(%server, error = error.chain(), "a server does not tell its keys"),
        }
    }

    async fn fetch(&self, server: &ServerName, need: Need) -> Result<Published, AskError> {
        let occasion = match need {
            Need::Request => Occasion::Wish,
            Need::Events | Need::Others => Occasion::Work,
        };
        let ask = Ask::get(Uri::new("/_matrix/key/v2/server"))
            .unsigned()
            .on(occasion)
            .within(ANSWER_TIME, DOCUMENT_BYTES_MAX);
        let document = self.client.ask(server, ask).await?;
        Published::read(document, Some(server))
            .map_err(|error| AskError::invalid(server, format!("its keys: {error}")))
    }

    /// Remembers what is news, and returns when it is on disk.
    async fn keep(&self, all: &[Published], source: Source, now_ms: i64) {
        let (mut told, mut kept) = (Vec::new(), Vec::new());
        for published in all {
            let server = &published.server;
            let before = self.stored(server).await;
            let mut keys = Vec::new();
            for (key_id, news) in Known::of(published, now_ms) {
                if let Some(before) = before.get(&key_id)
                    && !before.gives_way_to(&news, source)
                {
                    if before.key != news.key {
                        warn!(%server, key_id, "a server has another key under the ID of one that is valid");
                    }
                    continue;
                }
                keys.push(news.row(server, &key_id));
                let server = server.clone();
                kept.push((KeyName { server, key_id }, news));
            }
            if !keys.is_empty() {
                let document = published.row();
                told.push(Plain::RemoteKeys(Told { keys, document }));
            }
        }
        if told.is_empty() {
            return;
        }
        if let Err(error) = self.store.write(Write::plain(told)).await {
            warn!(%error, "the keys of other servers cannot be written");
        }
        // Not before: who gives up waiting would leave keys here that nobody writes any more. Where they cannot be written
        // they are here all the same, and can be fetched again.
        for (name, news) in kept {
            self.memory.insert(name, news);
        }
    }

    fn own_key(&self, name: &KeyName) -> Option<PublishedKey> {
        let is_ours = name.server == *self.own.current().server();
        is_ours.then(|| self.own.published(&name.key_id)).flatten()
    }

    fn lane(&self, server: &ServerName) -> Arc<Mutex<Lane>> {
        let Ok(lane) = self
            .lanes
            .get_or_insert_with(server, || Ok::<_, Infallible>(Arc::default()));
        lane
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
            let names = Wanted::from([(name.clone(), self.clock.now_ms())]);
            let mut found = self.get(names, REQUEST_WITHIN, Need::Request).await;
            found.remove(&name)
        })
    }
}
