//! The order in which SRV records are tried: RFC 2782.

use super::{Host, Place};

/// What one SRV record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Among those of the same priority: how large its share is.
    pub weight: u16,
    pub port: u16,
    /// With or without the last dot. `.` alone means that there is no such service.
    pub target: String,
}

/// The places in the order in which to try them.
pub(super) fn in_order(
    mut records: Vec<Srv>,
    mut random: impl FnMut(u64) -> u64,
) -> impl Iterator<Item = Place> {
    records.retain(|record| !host(record).is_empty());
    // Those without weight first, so that they have a small chance and not none.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let same = records.partition_point(|record| record.priority == first.priority);
        let total = records[..same].iter().map(|r| u64::from(r.weight)).sum();
        let mut left = random(total).min(total);
        let chosen = records[..same].iter().position(|record| {
            let weight = u64::from(record.weight);
            let hit = left <= weight;
            left = left.saturating_sub(weight);
            hit
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered.into_iter().map(|record| Place {
        host: Host::Name(host(&record).to_owned()),
        port: record.port,
    })
}

fn host(record: &Srv) -> &str {
    record.target.trim_end_matches('.')
}
