//! Power events and the reverse topological power ordering.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use ruma::EventId;

use super::{Resolved, Source, iterate::Checks};
use crate::{
    auth::{Membership, Power},
    event::Event,
};

/// Whether an event might take away somebody's ability to do something in the room.
pub(super) fn is_power_event(event: &Event) -> bool {
    match event.event_type() {
        "m.room.power_levels" | "m.room.join_rules" => event.state_key() == Some(""),
        "m.room.member" => {
            matches!(
                Membership::of(Some(event)),
                Membership::Leave | Membership::Ban
            ) && event.state_key() != Some(event.sender().as_str())
        }
        _ => false,
    }
}

/// The power events in `full`, with those events of their auth chains that are in it.
///
/// The chains are followed inside of `full` only. The text also means events in it that are reached through
/// others; Synapse and the servers after it do not look there, and neither do we. The conflicted subgraph of
/// version 2.1 closes the gap.
pub(super) fn power_events<S: Source>(source: &S, full: &BTreeSet<S::Key>) -> BTreeSet<S::Key> {
    let mut open: Vec<S::Key> = full
        .iter()
        .filter(|&&key| {
            source
                .entry(key)
                .is_some_and(|entry| is_power_event(entry.event))
        })
        .copied()
        .collect();
    let mut found: BTreeSet<S::Key> = open.iter().copied().collect();
    while let Some(key) = open.pop() {
        for &auth in source
            .entry(key)
            .map(|entry| entry.auth_events)
            .unwrap_or_default()
        {
            if full.contains(&auth) && found.insert(auth) {
                open.push(auth);
            }
        }
    }
    found
}

/// An event's place among those that could come next: the smallest goes first.
#[derive(PartialEq, Eq)]
struct Rank<'a, K> {
    /// More power comes first.
    power: Reverse<Power>,
    origin_server_ts: i64,
    id: &'a EventId,
    key: K,
}

impl<K: Eq> Ord for Rank<'_, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.power, self.origin_server_ts, self.id).cmp(&(
            other.power,
            other.origin_server_ts,
            other.id,
        ))
    }
}

impl<K: Eq> PartialOrd for Rank<'_, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// In a heap that gives the greatest, so reversed.
type Next<'a, K> = Reverse<Rank<'a, K>>;

/// `events` so that each comes after its auth events, and first what the ranks put first (Kahn's algorithm).
pub(super) fn reverse_topological<S: Source>(
    checks: &mut Checks<'_, S>,
    events: &BTreeSet<S::Key>,
) -> Resolved<Vec<S::Key>, S> {
    let source = checks.source();
    let mut waiting: BTreeMap<S::Key, usize> = BTreeMap::new();
    let mut followers: BTreeMap<S::Key, Vec<S::Key>> = BTreeMap::new();
    let mut next = BinaryHeap::new();
    for &key in events {
        let auth = source
            .entry(key)
            .map(|entry| entry.auth_events)
            .unwrap_or_default();
        let before: BTreeSet<S::Key> = auth
            .iter()
            .filter(|auth| events.contains(auth))
            .copied()
            .collect();
        if before.is_empty() {
            next.extend(rank(checks, key)?);
            continue;
        }
        waiting.insert(key, before.len());
        for auth in before {
            followers.entry(auth).or_default().push(key);
        }
    }
    let mut sorted = Vec::with_capacity(events.len());
    while let Some(Reverse(rank_of_next)) = next.pop() {
        sorted.push(rank_of_next.key);
        for follower in followers.remove(&rank_of_next.key).unwrap_or_default() {
            let Some(left) = waiting.get_mut(&follower) else {
                continue;
            };
            *left -= 1;
            if *left == 0 {
                next.extend(rank(checks, follower)?);
            }
        }
    }
    Ok(sorted)
}

fn rank<'a, S: Source>(
    checks: &mut Checks<'a, S>,
    key: S::Key,
) -> Resolved<Option<Next<'a, S::Key>>, S> {
    let Some(entry) = checks.source().entry(key) else {
        return Ok(None);
    };
    let event = entry.event;
    Ok(Some(Reverse(Rank {
        power: Reverse(checks.power_of_sender(entry)?),
        origin_server_ts: event.origin_server_ts(),
        id: event.id(),
        key,
    })))
}
