//! Durations and what is said of them.

use std::fmt;
use std::time::Duration;

/// Durations of the same thing, done many times.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn of(samples: &[Duration]) -> Self {
        Self(samples.to_vec())
    }

    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that is not less than `percent` of all; zero if there are none.
    pub(crate) fn percentile(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// `p50 / p95 / p99` in milliseconds.
    pub(crate) fn percentiles(&mut self) -> String {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| Millis(self.percentile(percent)));
        format!("{p50} / {p95} / {p99} ms")
    }
}

/// A duration in milliseconds with the digits that matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1000.0;
        let decimals = if millis < 10.0 { 1 } else { 0 };
        write!(formatter, "{millis:.decimals$}")
    }
}

/// How many of something happened per second.
pub(crate) fn per_second(count: usize, elapsed: Duration) -> String {
    let rate = count as f64 / elapsed.as_secs_f64();
    if rate < 100.0 {
        format!("{rate:.1}/s")
    } else {
        format!("{rate:.0}/s")
    }
}
