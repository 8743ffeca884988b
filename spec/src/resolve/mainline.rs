//! The mainline ordering.

use std::collections::BTreeMap;

use super::{EntryOf, ResolveError, Resolved, Source};

/// The power levels event among an event's auth events.
pub(super) fn power_levels_of<S: Source>(
    source: &S,
    entry: EntryOf<'_, S>,
) -> Resolved<Option<S::Key>, S> {
    for &auth in entry.auth_events {
        let found = source
            .entry(auth)
            .ok_or_else(|| ResolveError::Missing(vec![auth]))?;
        if found.event.is("m.room.power_levels", "") {
            return Ok(Some(auth));
        }
    }
    Ok(None)
}

/// `events` in the mainline ordering based on the power levels event `from`.
///
/// First what stands on no part of the mainline, then what stands on its oldest part, and so on.
pub(super) fn sort<S: Source>(
    source: &S,
    from: Option<S::Key>,
    events: &[S::Key],
) -> Resolved<Vec<S::Key>, S> {
    let mut mainline = Vec::new();
    let mut next = from;
    // Events of older rooms have chosen IDs, which could form a cycle; so no event is taken twice.
    let mut seen = std::collections::BTreeSet::new();
    while let Some(key) = next {
        if !seen.insert(key) {
            break;
        }
        mainline.push(key);
        let entry = source
            .entry(key)
            .ok_or_else(|| ResolveError::Missing(vec![key]))?;
        next = power_levels_of(source, entry)?;
    }
    // Positions from the oldest on, 0 being "none": the order that is wanted, with nothing infinite.
    let mut positions: BTreeMap<S::Key, usize> = mainline
        .iter()
        .rev()
        .enumerate()
        .map(|(index, key)| (*key, index + 1))
        .collect();

    let mut ranked = Vec::with_capacity(events.len());
    for &key in events {
        let entry = source
            .entry(key)
            .ok_or_else(|| ResolveError::Missing(vec![key]))?;
        let position = position(source, entry, &mut positions)?;
        ranked.push((
            position,
            entry.event.origin_server_ts(),
            entry.event.id(),
            key,
        ));
    }
    ranked.sort_unstable();
    Ok(ranked.into_iter().map(|(_, _, _, key)| key).collect())
}

/// The position of the first power levels event on the way down from `entry` that has one.
///
/// What was found is noted for all events on the way, so that each is walked over once.
fn position<S: Source>(
    source: &S,
    entry: EntryOf<'_, S>,
    positions: &mut BTreeMap<S::Key, usize>,
) -> Resolved<usize, S> {
    let mut way = Vec::new();
    let mut next = power_levels_of(source, entry)?;
    let mut found = 0;
    while let Some(key) = next {
        if let Some(position) = positions.get(&key) {
            found = *position;
            break;
        }
        // Noted before the walk goes on, so that a cycle ends it.
        positions.insert(key, 0);
        way.push(key);
        let entry = source
            .entry(key)
            .ok_or_else(|| ResolveError::Missing(vec![key]))?;
        next = power_levels_of(source, entry)?;
    }
    for key in way {
        positions.insert(key, found);
    }
    Ok(found)
}
