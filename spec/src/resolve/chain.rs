//! Walks over auth chains.

use std::collections::{BTreeMap, BTreeSet};

use super::{EntryOf, MAX_EVENTS, ResolveError, Resolved, Source, by_slot};

fn entry<S: Source + ?Sized>(source: &S, key: S::Key) -> Resolved<EntryOf<'_, S>, S> {
    source
        .entry(key)
        .ok_or_else(|| ResolveError::Missing(vec![key]))
}

/// A set of states, by their numbers: a word of 64 for every 64 states.
type Marks = Vec<u64>;

fn mark(states: usize, state: usize) -> Marks {
    let mut marks = vec![0; states.div_ceil(64)];
    marks[state / 64] |= 1 << (state % 64);
    marks
}

/// Adds `new` to `known`; whether that changed it.
fn add(known: &mut Marks, new: &Marks) -> bool {
    let mut grown = false;
    for (known, new) in known.iter_mut().zip(new) {
        grown |= *new & !*known != 0;
        *known |= new;
    }
    grown
}

/// All events that are in the auth chain of some but not of all of the states.
///
/// Every event learns in whose chains it is. What all states agree on is walked first: below it everything is
/// in all chains, so the walks from where they differ end there.
pub(super) fn auth_difference<S: Source + ?Sized>(
    source: &S,
    states: &[&[(S::Slot, S::Key)]],
) -> Resolved<BTreeSet<S::Key>, S> {
    let mut all: Marks = vec![0; states.len().div_ceil(64)];
    for state in 0..states.len() {
        add(&mut all, &mark(states.len(), state));
    }
    let mut agreed = Vec::new();
    by_slot(states, |_, keys| {
        if keys.len() == states.len() && keys.windows(2).all(|pair| pair[0] == pair[1]) {
            agreed.push(keys[0]);
        }
    });
    let mut chains: BTreeMap<S::Key, Marks> = BTreeMap::new();
    walk(source, &agreed, &all, &mut chains)?;
    let agreed: BTreeSet<S::Key> = agreed.into_iter().collect();
    for (number, state) in states.iter().enumerate() {
        let differing: Vec<S::Key> = state
            .iter()
            .map(|(_, key)| *key)
            .filter(|key| !agreed.contains(key))
            .collect();
        walk(source, &differing, &mark(states.len(), number), &mut chains)?;
    }
    Ok(chains
        .into_iter()
        .filter(|(_, marks)| *marks != all)
        .map(|(key, _)| key)
        .collect())
}

/// Marks the auth chains of `from`, themselves not included.
fn walk<S: Source + ?Sized>(
    source: &S,
    from: &[S::Key],
    marks: &Marks,
    chains: &mut BTreeMap<S::Key, Marks>,
) -> Resolved<(), S> {
    let mut missing = Vec::new();
    let mut open = from.to_vec();
    while let Some(key) = open.pop() {
        let Some(event) = source.entry(key) else {
            missing.push(key);
            continue;
        };
        for &auth in event.auth_events {
            let known = chains.entry(auth).or_insert_with(|| vec![0; marks.len()]);
            if add(known, marks) {
                open.push(auth);
            }
        }
        if chains.len() > MAX_EVENTS {
            return Err(ResolveError::TooLarge);
        }
    }
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ResolveError::Missing(missing))
    }
}

/// All events on a path of auth events from one of `conflicted` to another.
pub(super) fn conflicted_subgraph<S: Source + ?Sized>(
    source: &S,
    conflicted: &BTreeSet<S::Key>,
) -> Resolved<BTreeSet<S::Key>, S> {
    /// How many auth events of an event have been looked at, and whether one of `conflicted` lies below.
    struct Visit<K> {
        key: K,
        next: usize,
        leads: bool,
    }
    let mut done: BTreeMap<S::Key, bool> = BTreeMap::new();
    for &start in conflicted {
        if done.contains_key(&start) {
            continue;
        }
        // Depth first, an event after all that it stands on, with the stack in our own hands.
        done.insert(start, true);
        let mut path = vec![Visit {
            key: start,
            next: 0,
            leads: true,
        }];
        while let Some(visit) = path.last_mut() {
            let auth_events = entry(source, visit.key)?.auth_events;
            if let Some(&auth) = auth_events.get(visit.next) {
                visit.next += 1;
                match done.get(&auth) {
                    Some(leads) => visit.leads |= *leads,
                    None => {
                        let leads = conflicted.contains(&auth);
                        // A cycle, which only chosen event IDs could form, ends here as well.
                        done.insert(auth, leads);
                        path.push(Visit {
                            key: auth,
                            next: 0,
                            leads,
                        });
                    }
                }
                continue;
            }
            let Visit { key, leads, .. } = *visit;
            path.pop();
            done.insert(key, leads);
            if let Some(parent) = path.last_mut() {
                parent.leads |= leads;
            }
        }
        if done.len() > MAX_EVENTS {
            return Err(ResolveError::TooLarge);
        }
    }
    // All that was visited is reached from a conflicted event; what leads to one as well is on a path.
    Ok(done
        .into_iter()
        .filter(|(_, leads)| *leads)
        .map(|(key, _)| key)
        .collect())
}
