//! The real clock. The one place that asks the operating system for the time of day.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The operating system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock {
    /// When this clock was made, and what time of day it was then.
    started: (Instant, i64),
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            started: (Instant::now(), time_of_day_ms()),
        }
    }
}

impl engine::Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        time_of_day_ms()
    }

    fn steady_ms(&self) -> i64 {
        let (started, then_ms) = self.started;
        let since_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        then_ms.saturating_add(since_ms)
    }
}

fn time_of_day_ms() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others ask"
    )]
    let now = SystemTime::now();
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
