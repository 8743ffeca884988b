//! State resolution of room version 1.
//!
//! The text leaves open what a conflict of several members is compared with, and what happens to a slot none
//! of whose events is allowed. Rooms of this version were all made by Synapse, so we follow it: each member is
//! resolved by itself, and the event of least depth stays if none is allowed.

use sha1::{Digest as _, Sha1};

use super::{Resolved, Source, StateMap, at_hand, by_slot, iterate::Checks, overlay};
use crate::room_version::RoomVersion;

/// A slot that states disagree on, with its events: the least deep first, among equals by descending hash.
struct Conflict<K, S> {
    slot: S,
    events: Vec<K>,
}

pub(super) fn resolve<S: Source>(
    version: &RoomVersion,
    states: &[&[(S::Slot, S::Key)]],
    source: &S,
) -> Resolved<StateMap<S>, S> {
    let mut agreed: StateMap<S> = Vec::new();
    let mut conflicts: Vec<Conflict<S::Key, S::Slot>> = Vec::new();
    by_slot(states, |slot, holders| {
        let mut events: Vec<S::Key> = holders.iter().map(|(_, key)| *key).collect();
        events.sort_unstable();
        events.dedup();
        // A slot that some states lack is no conflict in this version.
        match events[..] {
            [only] => agreed.push((slot, only)),
            _ => conflicts.push(Conflict { slot, events }),
        }
    });
    if conflicts.is_empty() {
        return Ok(agreed);
    }
    at_hand(
        source,
        &conflicts
            .iter()
            .flat_map(|conflict| conflict.events.iter().copied())
            .collect(),
    )?;
    for conflict in &mut conflicts {
        conflict.events.sort_by_cached_key(|&key| {
            let entry = source.entry(key).expect("it was at hand just now");
            let hash: [u8; 20] = Sha1::digest(entry.event.id().as_str()).into();
            (entry.event.depth(), std::cmp::Reverse(hash))
        });
    }

    let mut checks = Checks::new(version, source, &agreed, states);
    checks.only_the_state();
    for deciding in ["m.room.power_levels", "m.room.join_rules", "m.room.member"] {
        let of_type = |conflict: &Conflict<S::Key, S::Slot>| {
            let entry = source.entry(conflict.events[0]);
            entry.is_some_and(|entry| entry.event.event_type() == deciding)
                && (deciding == "m.room.member" || source.slot(deciding, "") == Some(conflict.slot))
        };
        let (now, later): (Vec<_>, Vec<_>) = conflicts.into_iter().partition(of_type);
        conflicts = later;
        let mut resolved = Vec::with_capacity(now.len());
        for conflict in &now {
            resolved.push((conflict.slot, newest_of_chain(&mut checks, conflict)?));
        }
        // Only now: conflicts of one type do not see each other's outcome.
        for (slot, key) in resolved {
            checks.set(slot, Some(key));
        }
    }
    let mut resolved = Vec::with_capacity(conflicts.len());
    for conflict in &conflicts {
        resolved.push((conflict.slot, deepest_allowed(&mut checks, conflict)?));
    }
    for (slot, key) in resolved {
        checks.set(slot, Some(key));
    }
    Ok(overlay::<S>(&checks.into_changes(), &agreed))
}

/// The last event that is allowed by the state with the one before it in place, from the first one on.
fn newest_of_chain<S: Source>(
    checks: &mut Checks<'_, S>,
    conflict: &Conflict<S::Key, S::Slot>,
) -> Resolved<S::Key, S> {
    let mut newest = conflict.events[0];
    for &key in &conflict.events[1..] {
        checks.set(conflict.slot, Some(newest));
        if !checks.is_allowed(key)? {
            break;
        }
        newest = key;
    }
    checks.set(conflict.slot, None);
    Ok(newest)
}

/// The deepest event that is allowed, or the least deep if none is.
fn deepest_allowed<S: Source>(
    checks: &mut Checks<'_, S>,
    conflict: &Conflict<S::Key, S::Slot>,
) -> Resolved<S::Key, S> {
    for &key in conflict.events.iter().rev() {
        if checks.is_allowed(key)? {
            return Ok(key);
        }
    }
    Ok(conflict.events[0])
}
