//! Walks over auth chains.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{EntryOf, MAX_EVENTS, ResolveError, Resolved, Source, agreed, by_slot};

fn entry<S: Source + ?Sized>(source: &S, key: S::Key) -> Resolved<EntryOf<'_, S>, S> {
    source
        .entry(key)
        .ok_or_else(|| ResolveError::Missing(vec![key]))
}

/// In how many states' auth chains an event is.
#[derive(Clone, Copy)]
struct Chains {
    count: usize,
    /// The state counted last, so that none is counted twice.
    last: usize,
}

/// All events that are in the auth chain of some but not of all of the states, the states themselves included.
///
/// What all states agree on is walked first: below it everything is in all chains, so that the walks from where
/// they differ end there.
pub(super) fn auth_difference<S: Source + ?Sized>(
    source: &S,
    states: &[&[(S::Slot, S::Key)]],
) -> Resolved<BTreeSet<S::Key>, S> {
    let mut common = Vec::new();
    let mut differing = vec![Vec::new(); states.len()];
    by_slot(states, |_, holders| match agreed(holders, states.len()) {
        Some(key) => common.push(key),
        None => holders
            .iter()
            .for_each(|(state, key)| differing[*state].push(*key)),
    });
    let mut chains: BTreeMap<S::Key, Chains> = BTreeMap::new();
    walk(source, common, &mut chains, |known| match known {
        None => Some(Chains {
            count: states.len(),
            last: 0,
        }),
        Some(_) => None,
    })?;
    for (state, keys) in differing.into_iter().enumerate() {
        walk(source, keys, &mut chains, |known| match known {
            None => Some(Chains {
                count: 1,
                last: state,
            }),
            Some(known) if known.count == states.len() || known.last == state => None,
            Some(known) => Some(Chains {
                count: known.count + 1,
                last: state,
            }),
        })?;
    }
    let in_some = chains
        .into_iter()
        .filter(|(_, chains)| chains.count < states.len());
    Ok(in_some.map(|(key, _)| key).collect())
}

/// Visits `starts` and their auth chains.
///
/// `count` gives what is to be noted of an event, from what is: `None` to leave it, and all below it, alone.
fn walk<S: Source + ?Sized>(
    source: &S,
    starts: Vec<S::Key>,
    chains: &mut BTreeMap<S::Key, Chains>,
    count: impl Fn(Option<Chains>) -> Option<Chains>,
) -> Resolved<(), S> {
    let mut note = |key| match chains.entry(key) {
        Entry::Occupied(mut known) => match count(Some(*known.get())) {
            Some(counted) => {
                known.insert(counted);
                true
            }
            None => false,
        },
        Entry::Vacant(new) => match count(None) {
            Some(counted) => {
                new.insert(counted);
                true
            }
            None => false,
        },
    };
    let mut open = starts;
    open.retain(|key| note(*key));
    let (mut missing, mut walked) = (BTreeSet::new(), 0);
    while let Some(key) = open.pop() {
        let Some(event) = source.entry(key) else {
            missing.insert(key);
            continue;
        };
        open.extend(event.auth_events.iter().copied().filter(|auth| note(*auth)));
        walked += 1;
        if walked > MAX_EVENTS {
            return Err(ResolveError::TooLarge);
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ResolveError::Missing(missing.into_iter().collect()))
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
