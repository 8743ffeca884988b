//! Time as a parameter: the engine asks a [`Clock`], tests turn one by hand.

/// Where the engine gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}
