//! Which transaction IDs devices have used, so that one that is new, as nearly all are, needs no query. Client-server API,
//! "Transaction identifiers".

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId};
use storage::{Limit, Store, Write, events, write::Txn};

use crate::Result;

/// How many devices are known at once.
const DEVICES_MAX: usize = 20_000;

/// How many transaction IDs of one device are known. For a device that has used more, the store is asked each time.
const OF_DEVICE_MAX: usize = 20_000;

/// How many transaction IDs may come in, some 16 bytes each, before all are forgotten: no more are ever known at once.
const IDS_MAX: usize = 1_000_000;

/// The transaction IDs that devices have used, as far as they are in memory.
pub(crate) struct Transactions {
    store: Store,
    hasher: RandomState,
    devices: Cache<(OwnedUserId, String), Arc<Mutex<Used>>>,
    /// How many have come in since all were forgotten, with those of devices that are not known any more.
    ids: AtomicUsize,
}

/// Those of one device.
enum Used {
    /// Hashes of all of them.
    All(HashSet<u64>),
    /// Too many.
    Many,
}

impl Transactions {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            hasher: RandomState::new(),
            devices: Cache::new(DEVICES_MAX),
            ids: AtomicUsize::new(0),
        }
    }

    /// Whether `sender` may have used this one before; from now on they have. No query once the device is known.
    pub(crate) async fn may_be_used(&self, sender: &UserId, txn: &Txn) -> Result<bool> {
        let key = (sender.to_owned(), txn.device.clone());
        let known = self
            .devices
            .get_or_insert_async(&key, self.load(sender, &txn.device));
        let known = known.await?;
        let hash = self.hash(&txn.scope, &txn.id);
        let mut used = known.lock().unwrap_or_else(PoisonError::into_inner);
        let Used::All(hashes) = &mut *used else {
            return Ok(true);
        };
        if !hashes.insert(hash) {
            return Ok(true);
        }
        if hashes.len() > OF_DEVICE_MAX {
            *used = Used::Many;
        }
        drop(used);
        self.count(1);
        Ok(false)
    }

    /// One query, and a write that comes behind those that are on their way.
    async fn load(&self, sender: &UserId, device: &str) -> Result<Arc<Mutex<Used>>> {
        self.store.write(Write::default()).await?;
        let limit = Limit::new(OF_DEVICE_MAX as u64);
        let stored = events::txns(self.store.reader(), sender, device, limit).await?;
        let used = match stored.len() < OF_DEVICE_MAX {
            true => {
                self.count(stored.len());
                let hashes = stored.iter().map(|(scope, id)| self.hash(scope, id));
                Used::All(hashes.collect())
            }
            false => Used::Many,
        };
        Ok(Arc::new(Mutex::new(used)))
    }

    fn hash(&self, scope: &str, id: &str) -> u64 {
        self.hasher.hash_one((scope, id))
    }

    fn count(&self, more: usize) {
        if self.ids.fetch_add(more, Ordering::Relaxed) + more > IDS_MAX {
            self.ids.store(0, Ordering::Relaxed);
            self.devices.clear();
        }
    }
}
