//! Token buckets: who asks how often.
//!
//! They are kept in the form of the moment at which the next request would be free (GCRA): one number a key. The table is
//! bounded; when it is full of busy keys, new keys are let through rather than old ones forgotten.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The most keys that are remembered at once; some 100 bytes each.
const KEYS_MAX: usize = 100_000;

/// A token bucket: `burst` at once, refilled with `per_second`.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Requests that come back per second; greater than zero.
    pub per_second: f64,
    /// Requests that may come at once; at least one.
    pub burst: u32,
}

/// A bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    epoch: Instant,
    /// Nanoseconds after `epoch` at which the bucket of a key is full again.
    full_at: Mutex<HashMap<K, u64>>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            full_at: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Takes one request from the bucket of `key`, which is like `bucket`.
    ///
    /// # Errors
    /// The time after which the next one goes through.
    pub fn take(&self, bucket: Bucket, key: K) -> Result<(), Duration> {
        let now = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let before = full_at.get(&key).copied().unwrap_or(0);
        let after = next_full_at(bucket, before, now)?;
        if full_at.len() >= KEYS_MAX && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= KEYS_MAX {
                return Ok(());
            }
        }
        full_at.insert(key, after);
        Ok(())
    }
}

/// When the bucket will be full again after one more request; the waiting time if it is empty now. All in nanoseconds.
fn next_full_at(bucket: Bucket, full_at: u64, now: u64) -> Result<u64, Duration> {
    let interval = Duration::from_secs_f64((1.0 / bucket.per_second).clamp(1e-9, 1e9));
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    let capacity = interval.saturating_mul(u64::from(bucket.burst.max(1)));
    let after = full_at.max(now).saturating_add(interval);
    match after.saturating_sub(now).checked_sub(capacity) {
        None | Some(0) => Ok(after),
        Some(wait) => Err(Duration::from_nanos(wait)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, next_full_at};

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = Bucket {
            per_second: 2.0,
            burst: 3,
        };
        let mut full_at = 0;
        for request in 0..3 {
            full_at = next_full_at(bucket, full_at, 0).unwrap_or_else(|_| panic!("{request}"));
        }
        let wait = next_full_at(bucket, full_at, 0).unwrap_err();
        assert_eq!(wait.as_millis(), 500);
        assert!(next_full_at(bucket, full_at, 500_000_000).is_ok());
    }
}
