//! The real clock. The one place that asks the operating system for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// The operating system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl engine::Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that all others ask"
        )]
        let now = SystemTime::now();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }
}
