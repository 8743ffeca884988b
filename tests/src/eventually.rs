//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the answer is there, and returns it.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "in vain waited for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
