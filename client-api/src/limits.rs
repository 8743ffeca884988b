//! Rate limits: a token bucket for each user, and for each address that asks without a token.
//!
//! The buckets are kept in the form of the moment at which the next request would be free (GCRA): one number a key.
//! The table is bounded; when it is full of busy keys, new keys are let through rather than old ones forgotten.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ruma::{OwnedUserId, UserId};

use crate::settings::{Bucket, RateLimits};

/// The most keys that are remembered at once; some 100 bytes each.
const KEYS_MAX: usize = 100_000;

/// What a request costs against: each kind has its own bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Sending events.
    Sends,
    /// Other requests of signed-in users that the specification marks as limited.
    Requests,
    /// Requests without a token.
    Anonymous,
    /// Attempts to log in or to register.
    Logins,
}

/// Counts requests and refuses those over the limit. Shared by all workers.
pub struct Limits {
    rates: Option<RateLimits>,
    epoch: Instant,
    /// Nanoseconds after `epoch` at which the bucket of a key is full again.
    full_at: Mutex<HashMap<Key, u64>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    User(Class, OwnedUserId),
    Address(Class, IpAddr),
}

impl Limits {
    /// A limiter with these rates; `None` lets everything through.
    #[must_use]
    pub fn new(rates: Option<RateLimits>) -> Self {
        Self {
            rates,
            epoch: Instant::now(),
            full_at: Mutex::default(),
        }
    }

    /// Takes one request from the user's bucket.
    ///
    /// # Errors
    /// The time after which the next one goes through.
    pub fn take_for_user(&self, class: Class, user: &UserId) -> Result<(), Duration> {
        self.take(class, || Key::User(class, user.to_owned()))
    }

    /// Takes one request from the address's bucket.
    ///
    /// # Errors
    /// The time after which the next one goes through.
    pub fn take_for_address(&self, class: Class, address: IpAddr) -> Result<(), Duration> {
        self.take(class, || Key::Address(class, network(address)))
    }

    fn take(&self, class: Class, key: impl FnOnce() -> Key) -> Result<(), Duration> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        let bucket = match class {
            Class::Sends => rates.sends,
            Class::Requests => rates.requests,
            Class::Anonymous => rates.anonymous,
            Class::Logins => rates.logins,
        };
        let now = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let key = key();
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

/// The address as it is counted: an IPv6 network of 64 bits belongs to one household.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, network, next_full_at};

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

    #[test]
    fn a_household_counts_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
