//! Events in an order in which each comes after those that it builds on.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ruma::OwnedEventId;
use spec::event::Event;

/// The events, each once and after those among them that `before` names for it; ties by depth, then by id. Events of a
/// cycle, which hashes make impossible and old versions do not, are left out.
pub(crate) fn by_dependency(
    events: Vec<Event>,
    before: impl Fn(&Event) -> &[OwnedEventId],
) -> Vec<Event> {
    let mut waiting: HashMap<OwnedEventId, usize> = HashMap::new();
    let mut followers: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
    let mut by_id: BTreeMap<(i64, OwnedEventId), Event> = BTreeMap::new();
    let depths: HashMap<OwnedEventId, i64> = events
        .iter()
        .map(|event| (event.id().to_owned(), event.depth()))
        .collect();
    for event in events {
        if waiting.contains_key(event.id()) {
            // A state and its auth chain have events in common.
            continue;
        }
        let inside: Vec<_> = before(&event)
            .iter()
            .filter(|id| depths.contains_key(*id))
            .cloned()
            .collect();
        waiting.insert(event.id().to_owned(), inside.len());
        for id in inside {
            followers.entry(id).or_default().push(event.id().to_owned());
        }
        by_id.insert((event.depth(), event.id().to_owned()), event);
    }
    let mut ready: VecDeque<(i64, OwnedEventId)> = by_id
        .keys()
        .filter(|(_, id)| waiting.get(id) == Some(&0))
        .cloned()
        .collect();
    let mut ordered = Vec::with_capacity(by_id.len());
    while let Some(key) = ready.pop_front() {
        for follower in followers.remove(&key.1).unwrap_or_default() {
            let left = waiting.entry(follower.clone()).or_default();
            *left = left.saturating_sub(1);
            if *left == 0
                && let Some(depth) = depths.get(&follower)
            {
                ready.push_back((*depth, follower));
            }
        }
        ordered.extend(by_id.remove(&key));
    }
    ordered
}
