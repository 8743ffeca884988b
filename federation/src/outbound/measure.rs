//! What the operator can measure of the way out.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// How the queues stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Servers that have not everything yet.
    pub(super) servers: usize,
    /// Those of them that are left alone for a while.
    pub(super) failing: usize,
    /// Events that wait in memory, each counted for each server that waits for it.
    pub(super) events: usize,
}

pub(super) fn standing(now: Standing) {
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 servers")]
    let number = |count: usize| count as f64;
    gauge!("rookery_federation_servers_waiting").set(number(now.servers));
    gauge!("rookery_federation_servers_failing").set(number(now.failing));
    gauge!("rookery_federation_events_waiting").set(number(now.events));
}

/// A transaction has arrived.
pub(super) fn arrived(pdus: usize, took: Duration) {
    sent("arrived");
    counter!("rookery_federation_events_sent_total").increment(pdus as u64);
    histogram!("rookery_federation_send_seconds").record(took);
}

/// A transaction was refused for good.
pub(super) fn refused() {
    sent("refused");
}

/// A transaction could not be delivered, and is tried again.
pub(super) fn failed() {
    sent("failed");
}

fn sent(outcome: &'static str) {
    counter!("rookery_federation_transactions_sent_total", "outcome" => outcome).increment(1);
}
