//! Section `limits`: how much one user or address may ask for.

use std::time::Duration;

use super::raw::Raw;
use super::section::{Setting, section};
use super::value::Size;

section! {
    /// How much one user or one address may ask for. A rate says how many requests come back each
    /// second, and how many may come at once.
    "limits" Limits {
        /// The largest request of somebody who is signed in; more is answered with 413.
        max_body: Size, default "10 MiB";

        /// The largest request without a sign-in: nobody registers with more.
        max_public_body: Size, default "256 KiB";

        /// The longest that a client may wait for news in one request.
        max_sync_wait: Duration, default "2 min";

        /// Whether those who ask too often are told to wait. Off only for tests and measurements.
        rate_limits: bool, default true;

        /// Events that one user sends.
        sends: Rate, default "20/s, burst 100";

        /// Other requests of one user that the specification wants limited.
        requests: Rate, default "10/s, burst 100";

        /// Requests without a sign-in from one address.
        anonymous: Rate, default "10/s, burst 100";

        /// Requests of one other server.
        servers: Rate, default "100/s, burst 1000";

        /// Attempts to sign in or to register from one address.
        logins: Rate, default "0.5/s, burst 20";
    }
}

/// A bucket of requests: `burst` at once, refilled with `per_second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// Greater than zero.
    pub(crate) per_second: f64,
    /// At least one.
    pub(crate) burst: u32,
}

impl Setting for Rate {
    const EXPECTED: &'static str = r#"a rate like "10/s, burst 100" or "0.5/s, burst 20""#;

    fn read(raw: &Raw) -> Option<Self> {
        let (rate, burst) = raw.text()?.split_once(',')?;
        let per_second: f64 = rate.trim().strip_suffix("/s")?.trim_end().parse().ok()?;
        let burst: u32 = burst
            .trim()
            .strip_prefix("burst")?
            .trim_start()
            .parse()
            .ok()?;
        let sensible = (0.001..=1_000_000.0).contains(&per_second) && burst > 0;
        sensible.then_some(Self { per_second, burst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_many_a_second_and_so_many_at_once() {
        for (text, rate) in [
            ("20/s, burst 100", Some((20.0, 100))),
            ("0.5/s,burst 1", Some((0.5, 1))),
            ("20/s", None),
            ("20, burst 5", None),
            ("0/s, burst 5", None),
            ("nan/s, burst 5", None),
            ("inf/s, burst 5", None),
            ("5/s, burst 0", None),
            ("-1/s, burst 5", None),
        ] {
            let read = Rate::read(&Raw::from(text)).map(|rate| (rate.per_second, rate.burst));
            assert_eq!(read, rate, "{text}");
        }
    }
}
