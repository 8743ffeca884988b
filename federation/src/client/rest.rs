//! Servers that could not be reached lately and are left alone for a while. All of it may be forgotten.

use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use tokio::time::Instant;

/// How many servers' troubles are remembered.
const SERVERS_MAX: usize = 50_000;

/// The pause after the first failure; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause, also where a server asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);

/// The longest pause after a failure where the server speaks to us: perhaps it is back, perhaps it never answers.
const PAUSE_HEARD: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Rest(Cache<OwnedServerName, Trouble>);

/// How asking a server went.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// Failures in a row. Those of questions that were asked at the same time are one.
    failures: u32,
    failed: Instant,
    until: Instant,
}

impl Default for Rest {
    fn default() -> Self {
        Self(Cache::new(SERVERS_MAX))
    }
}

impl Rest {
    /// Whether a server is left alone now.
    pub(super) fn is_resting(&self, server: &ServerName, now: Instant) -> bool {
        self.0
            .get(server)
            .is_some_and(|trouble| now < trouble.until)
    }

    /// A question of the time `asked` has failed now; `wait` is how long the server wants to be left alone.
    pub(super) fn failed(
        &self,
        server: &ServerName,
        asked: Instant,
        now: Instant,
        wait: Option<Duration>,
    ) {
        let before = self.0.get(server);
        let failures = match before {
            Some(before) if asked < before.failed => before.failures,
            Some(before) => before.failures.saturating_add(1),
            None => 1,
        };
        let doubled = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let pause = doubled.max(wait.unwrap_or_default()).min(PAUSE_MAX);
        // One failure more does not shorten a pause that the server has asked for.
        let asked_for = before.map_or(now, |before| before.until);
        let trouble = Trouble {
            failures,
            failed: now,
            until: asked_for.max(now + pause),
        };
        self.0.insert(server.to_owned(), trouble);
    }

    /// A server has answered.
    pub(super) fn answered(&self, server: &ServerName) {
        self.0.remove(server);
    }

    /// A server has spoken to us.
    pub(super) fn heard_from(&self, server: &ServerName) {
        if let Some(trouble) = self.0.get(server) {
            let until = trouble.until.min(trouble.failed + PAUSE_HEARD);
            self.0
                .insert(server.to_owned(), Trouble { until, ..trouble });
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn pauses_double_and_end_with_an_answer() {
        let (rest, server) = (Rest::default(), server_name!("there"));
        let mut now = Instant::now();
        let second = Duration::from_secs(1);
        assert!(!rest.is_resting(server, now));
        for pause in [1, 2, 4, 8] {
            rest.failed(server, now, now, None);
            // So do those that were asked at the same time.
            rest.failed(server, now - second, now, None);
            assert!(rest.is_resting(server, now + second * pause - second / 2));
            now += second * pause;
            assert!(!rest.is_resting(server, now));
        }
        for _ in 0..20 {
            rest.failed(server, now, now, None);
        }
        assert!(!rest.is_resting(server, now + PAUSE_MAX));
        assert!(!rest.is_resting(server_name!("elsewhere"), now));
        rest.answered(server);
        assert!(!rest.is_resting(server, now));
    }

    #[test]
    fn a_server_may_ask_for_more_and_comes_back_by_speaking() {
        let (rest, server) = (Rest::default(), server_name!("there"));
        let now = Instant::now();
        rest.failed(server, now, now, Some(PAUSE_HEARD * 3));
        assert!(rest.is_resting(server, now + PAUSE_HEARD * 2));
        rest.heard_from(server);
        assert!(rest.is_resting(server, now + PAUSE_HEARD / 2));
        assert!(!rest.is_resting(server, now + PAUSE_HEARD));
        rest.failed(server, now, now, Some(PAUSE_HEARD * 5));
        rest.failed(server, now, now, None);
        assert!(rest.is_resting(server, now + PAUSE_HEARD * 4));
        rest.failed(server, now, now, Some(PAUSE_MAX * 9));
        assert!(!rest.is_resting(server, now + PAUSE_MAX));
    }
}
