//! Rate limits: a token bucket for each user, and for each address that asks without a token.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use engine::buckets::Buckets;
use ruma::{OwnedUserId, UserId};

use crate::settings::RateLimits;

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
    buckets: Buckets<Key>,
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
            buckets: Buckets::default(),
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
        self.buckets.take(bucket, key())
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
    use super::network;

    #[test]
    fn a_household_counts_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
