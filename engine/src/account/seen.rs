//! When and from where a device was last used: client-server API, "Device management".
//!
//! Written at most once in a while for a device and an address, not with each request.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    net::IpAddr,
};

use quick_cache::sync::Cache;
use storage::{Write, devices};

use super::Accounts;
use crate::Requester;

/// How stale the time may be, in milliseconds.
const STALE_MS_MAX: i64 = 10 * 60 * 1000;
/// How many devices are remembered. One that is forgotten is written once more.
const REMEMBERED: usize = 20_000;

/// When a device was last written, by a hash of user, device and address.
pub(super) struct Seen(Cache<u64, i64>);

impl Default for Seen {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Accounts {
    /// Notes that the device of `by` was used now, from `address`; asks for the `user_agent` only if it is written. Does
    /// not wait for the disk, and a failure does no harm but a stale time. Must be called within a tokio runtime.
    pub fn seen(
        &self,
        by: &Requester,
        address: IpAddr,
        user_agent: impl FnOnce() -> Option<String>,
    ) {
        let Some(device_id) = &by.device_id else {
            return;
        };
        let now_ms = self.now_ms();
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let key = hasher.hash_one((&by.user_id, device_id, address));
        let seen = &self.inner.seen.0;
        if seen
            .get(&key)
            .is_some_and(|written_ms| now_ms - written_ms < STALE_MS_MAX)
        {
            return;
        }
        seen.insert(key, now_ms);
        let address = Some(address.to_string());
        let row = devices::seen(&by.user_id, device_id, now_ms, address, user_agent());
        drop(self.inner.store.enqueue(Write::plain(vec![row])));
    }
}
