//! Asking notaries: in batches, each for the same key of a server seldom where it does not tell it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::Arc,
};

use engine::peers::KeyName;
use futures_util::{StreamExt as _, stream};
use ruma::ServerName;
use spec::{json::Object, sign::PublishedKey};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::warn;

use super::{Lane, Need, RemoteKeyRing, Wanted};
use crate::keys::{
    known::Source,
    notary::{self, BATCH},
    published::Published,
};

/// How many batches a notary is asked for at the same time.
const BATCHES_AT_ONCE: usize = 4;

/// The keys that one question is about, each with the moment until which it should be valid.
type Batch<'a> = [(&'a KeyName, i64)];

impl RemoteKeyRing {
    /// Asks the notaries, one after the other, for what is not known well enough.
    pub(super) async fn ask_notaries(&self, names: &Wanted, need: Need) {
        for notary in &self.notaries {
            let missing: Vec<(&KeyName, i64)> = self
                .lacking(names)
                .filter(|(name, _)| name.server != *notary)
                .collect();
            if missing.is_empty() {
                return;
            }
            if self.client.is_resting(notary) {
                continue;
            }
            stream::iter(missing.chunks(BATCH))
                .for_each_concurrent(BATCHES_AT_ONCE, |batch| {
                    self.ask_notary(notary, batch, need)
                })
                .await;
        }
    }

    async fn ask_notary(&self, notary: &ServerName, batch: &Batch<'_>, need: Need) {
        // Everybody takes the lanes in the order of the names: so nobody waits for who waits for them.
        let servers: BTreeSet<&ServerName> = batch.iter().map(|(name, _)| &*name.server).collect();
        let mut lanes = BTreeMap::new();
        for server in servers {
            lanes.insert(server, self.notary_lane(notary, server, need).await);
        }
        // Whoever had them before may have heard it.
        let now_ms = self.clock.now_ms();
        let batch: Vec<(&KeyName, i64)> = batch
            .iter()
            .filter(|(name, at)| self.lacks(name, *at))
            .filter(|(name, _)| lanes[&*name.server].is_free_for(&name.key_id, now_ms))
            .copied()
            .collect();
        if batch.is_empty() {
            return;
        }
        let turns = self.turns.at_notaries(need);
        let turn = match need {
            // Nobody knows yet who asks: with too many of those, they do without notaries.
            Need::Request => turns.try_acquire().ok(),
            Need::Events | Need::Others => turns.acquire().await.ok(),
        };
        if turn.is_none() {
            return;
        }
        for (server, lane) in &mut lanes {
            let mut key_ids = batch
                .iter()
                .filter(|(name, _)| name.server == *server)
                .map(|(name, _)| name.key_id.as_str())
                .peekable();
            if key_ids.peek().is_some() {
                lane.begins(key_ids, now_ms);
            }
        }
        match self.client.ask(notary, notary::ask(&batch)).await {
            Ok(answer) => self.believe(notary, answer, &batch).await,
            Err(error) => warn!(%notary, error = error.chain(), "a notary does not answer"),
        }
        for (name, at) in batch {
            if !self.lacks(name, at)
                && let Some(lane) = lanes.get_mut(&*name.server)
            {
                lane.told(&name.key_id);
            }
        }
    }

    /// Keeps what a notary has told and was asked for.
    async fn believe(&self, notary: &ServerName, answer: Object, batch: &Batch<'_>) {
        let signers = notary::signers(&answer, notary);
        let signers = Box::pin(self.get_directly(notary, signers)).await;
        let servers: BTreeSet<&ServerName> = batch.iter().map(|(name, _)| &*name.server).collect();
        let told: Vec<Published> = notary::read(answer, notary, &signers)
            .into_iter()
            .filter(|published| servers.contains(&*published.server))
            .collect();
        self.keep(&told, Source::Notary, self.clock.now_ms()).await;
    }

    /// These keys of one server, from memory, from the store, or from the server itself.
    async fn get_directly(
        &self,
        server: &ServerName,
        key_ids: BTreeSet<String>,
    ) -> HashMap<String, PublishedKey> {
        let server = server.to_owned();
        let now_ms = self.clock.now_ms();
        let mut names: Wanted = key_ids
            .into_iter()
            .map(|key_id| {
                let server = server.clone();
                (KeyName { server, key_id }, now_ms)
            })
            .collect();
        let mut found = HashMap::new();
        self.take(&mut names, &mut found).await;
        if !names.is_empty() {
            self.ask_server(&server, Need::Events).await;
            self.take(&mut names, &mut found).await;
        }
        let by_id = found.into_iter().map(|(name, key)| (name.key_id, key));
        by_id.collect()
    }

    async fn notary_lane(
        &self,
        notary: &ServerName,
        server: &ServerName,
        need: Need,
    ) -> OwnedMutexGuard<Lane> {
        let of_request = need == Need::Request;
        let key = (notary.to_owned(), server.to_owned(), of_request);
        let Ok(lane) = self
            .notary_lanes
            .get_or_insert_with(&key, || Ok::<Arc<Mutex<Lane>>, Infallible>(Arc::default()));
        lane.lock_owned().await
    }
}
