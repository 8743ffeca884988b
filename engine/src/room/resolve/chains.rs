//! The parts of auth chains that a resolution needs, and no more: those above the oldest event that the states differ in.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::OwnedEventId;
use spec::resolve::Difference;
use storage::{EventRow, StateKeyRow, events, members};

use super::Of;
use crate::{Result, events::KnownEvent};

/// The state of a room as `spec::resolve` takes it.
type List<'a> = &'a [(StateKeyRow, EventRow)];

/// The auth difference of several states of a room.
///
/// Events have rows in the order in which they came, each after its auth events: an invite that came before the room did
/// is the exception, and who is invited or left is no part of the joined state that makes rooms large.
pub(super) async fn difference(room: &Of<'_>, states: &[List<'_>]) -> Result<BTreeSet<EventRow>> {
    let mut walk = Difference::of(states);
    if walk.wants().is_empty() {
        return Ok(BTreeSet::new());
    }
    let (db, own) = (room.context.store.reader(), &room.context.server_name);
    walk.look_first(members::events_of_absent(db, room.meta.row, own).await?);
    loop {
        let wanted = walk.wants();
        if wanted.is_empty() {
            return Ok(walk.into_found());
        }
        walk.learn(auth_events(room, &wanted).await?);
    }
}

/// All events on a path of auth events from one of `conflicted` to another, these two included.
pub(super) async fn conflicted_subgraph(
    room: &Of<'_>,
    conflicted: &BTreeSet<EventRow>,
) -> Result<BTreeSet<EventRow>> {
    let Some(oldest) = conflicted.first().copied() else {
        return Ok(BTreeSet::new());
    };
    let mut above: HashMap<EventRow, Vec<EventRow>> = HashMap::new();
    let mut seen = conflicted.clone();
    let mut open: Vec<EventRow> = conflicted.iter().copied().collect();
    while !open.is_empty() {
        for (row, auth_events) in auth_events(room, &open).await? {
            // Below the oldest there is none to lead to, except from an invite that came before its room.
            let leads_on = row >= oldest || auth_events.iter().any(|auth| *auth >= oldest);
            for auth in auth_events.into_iter().filter(|_| leads_on) {
                above.entry(auth).or_default().push(row);
            }
        }
        let next = above.keys().filter(|row| !seen.contains(row));
        open = next.copied().collect();
        seen.extend(&open);
    }
    // What leads to a conflicted event, seen from there.
    let mut leads = conflicted.clone();
    let mut open: Vec<EventRow> = conflicted.iter().copied().collect();
    while let Some(row) = open.pop() {
        let above = above.get(&row).into_iter().flatten();
        open.extend(above.copied().filter(|above| leads.insert(*above)));
    }
    Ok(leads)
}

/// The auth events of these events, as far as there are any.
async fn auth_events(room: &Of<'_>, rows: &[EventRow]) -> Result<Vec<(EventRow, Vec<EventRow>)>> {
    let context = room.context;
    let known = context.events.get_many(&context.metas, rows).await?;
    let by_id = auth_rows(room, &known).await?;
    let auth = |id: &OwnedEventId| by_id.get(id).copied();
    Ok(known
        .iter()
        .map(|known| {
            let auth_events = known.event.auth_events().iter().filter_map(auth);
            (known.row, auth_events.collect())
        })
        .collect())
}

/// The rows of the auth events of these events, those that are not written yet among them.
pub(super) async fn auth_rows(
    room: &Of<'_>,
    known: &[Arc<KnownEvent>],
) -> Result<HashMap<OwnedEventId, EventRow>> {
    let ids = known.iter().flat_map(|known| known.event.auth_events());
    let ids: BTreeSet<&OwnedEventId> = ids.collect();
    let (mut rows, mut stored) = (HashMap::with_capacity(ids.len()), Vec::new());
    for id in ids {
        match room.recent.find(id) {
            Some(row) => drop(rows.insert(id.clone(), row)),
            None => stored.push(id.as_ref()),
        }
    }
    let found = events::rows_by_ids(room.context.store.reader(), &stored).await?;
    for (id, row) in found {
        if let Ok(id) = OwnedEventId::try_from(id) {
            rows.insert(id, row);
        }
    }
    Ok(rows)
}
