//! Time as a parameter: the engine asks a [`Clock`], tests turn one by hand.

use std::sync::Arc;

/// Where the engine gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. It may jump: whoever runs the machine may set it.
    fn now_ms(&self) -> i64;

    /// The same, but for jumps since the start: for what waits, which must neither end at once nor never.
    fn steady_ms(&self) -> i64 {
        self.now_ms()
    }
}

/// A clock that never jumps, for those who only measure how long something takes.
pub struct Steady(pub Arc<dyn Clock>);

impl Clock for Steady {
    fn now_ms(&self) -> i64 {
        self.0.steady_ms()
    }
}
