//! Resolving several states of a room into one: what `spec::resolve` needs, read from the caches and the store.

use std::{collections::HashMap, sync::Arc};

use ruma::OwnedEventId;
use spec::{
    event::Event,
    resolve::{self, Entry, ResolveError, Source},
    room_version::{RoomVersion, StateResolution},
};
use storage::{EventRow, StateKeyRow, events, write::Outcome};

use crate::{Error, Result, context::Context, states::StateMap};

/// How many rounds of reading one resolution may take. Each round reads a generation of the auth chains.
const ROUNDS_MAX: usize = 10_000;

/// The one state that follows from several. Equal states are one; one state is its own resolution.
pub(super) async fn resolve(
    context: &Arc<Context>,
    version: &'static RoomVersion,
    mut states: Vec<StateMap>,
) -> Result<StateMap> {
    states.dedup();
    if states.len() <= 1 {
        return Ok(states.pop().unwrap_or_default());
    }
    let lists: Vec<Vec<(StateKeyRow, EventRow)>> = states
        .iter()
        .map(|state| state.iter().map(|(key, row)| (*key, *row)).collect())
        .collect();
    let mut loaded = Loaded::default();
    loaded.name_slots(context, &lists).await?;
    for _ in 0..ROUNDS_MAX {
        // Pure and possibly long: not on a thread that serves others.
        let (lists, source) = (lists.clone(), loaded);
        let (outcome, source) = tokio::task::spawn_blocking(move || {
            let slices: Vec<&[_]> = lists.iter().map(Vec::as_slice).collect();
            (resolve::resolve(version, &slices, &source), source)
        })
        .await
        .map_err(|error| Error::Internal(format!("state resolution: {error}")))?;
        loaded = source;
        match outcome {
            Ok(resolved) => return Ok(resolved.into_iter().collect()),
            Err(ResolveError::Missing(rows)) => {
                let mut rows = loaded.load(context, &rows).await?;
                // The chains are needed whole: read on here, rather than begin anew for each generation.
                while version.state_resolution != StateResolution::V1 && !rows.is_empty() {
                    if loaded.entries.len() > resolve::MAX_EVENTS {
                        return Err(Error::Internal("state resolution: too large".to_owned()));
                    }
                    rows = loaded.load(context, &rows).await?;
                }
            }
            Err(error) => return Err(Error::Internal(format!("state resolution: {error}"))),
        }
    }
    Err(Error::Internal(
        "state resolution does not come to an end".to_owned(),
    ))
}

/// The events that a resolution has asked for.
#[derive(Default)]
struct Loaded {
    entries: HashMap<EventRow, LoadedEvent>,
    slots: HashMap<(String, String), StateKeyRow>,
}

struct LoadedEvent {
    event: Arc<Event>,
    slot: StateKeyRow,
    auth_events: Vec<EventRow>,
    rejected: bool,
}

impl Loaded {
    /// Learns the names of all slots of the states.
    async fn name_slots(
        &mut self,
        context: &Context,
        lists: &[Vec<(StateKeyRow, EventRow)>],
    ) -> Result<()> {
        let mut keys: Vec<StateKeyRow> = lists.iter().flatten().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        let names = context.store.state_keys().names(&keys).await?;
        self.slots.extend(names.into_iter().zip(keys));
        Ok(())
    }

    /// Reads events, and finds the rows of their auth events; returns those that are not read.
    async fn load(&mut self, context: &Context, rows: &[EventRow]) -> Result<Vec<EventRow>> {
        let known = context.events.get_many(&context.metas, rows).await?;
        let mut ids: Vec<OwnedEventId> = known
            .iter()
            .flat_map(|known| known.event.auth_events())
            .cloned()
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let borrowed: Vec<_> = ids.iter().map(AsRef::as_ref).collect();
        let by_id: HashMap<String, EventRow> =
            events::rows_by_ids(context.store.reader(), &borrowed)
                .await?
                .into_iter()
                .collect();
        for known in known {
            let state_key = known.event.state_key().ok_or_else(|| {
                Error::Internal(format!(
                    "{} is part of a state and no state event",
                    known.event.id()
                ))
            })?;
            let pair = (known.event.event_type(), state_key);
            let slot = context.store.state_keys().resolve(&[pair]).await?.rows[0];
            self.slots
                .insert((pair.0.to_owned(), pair.1.to_owned()), slot);
            let auth_events = known.event.auth_events().iter();
            let auth_events = auth_events
                .filter_map(|id| by_id.get(id.as_str()).copied())
                .collect();
            let rejected = known.outcome == Outcome::Rejected;
            let loaded = LoadedEvent {
                event: known.event.clone(),
                slot,
                auth_events,
                rejected,
            };
            self.entries.insert(known.row, loaded);
        }
        let mut next: Vec<EventRow> = by_id.into_values().collect();
        next.retain(|row| !self.entries.contains_key(row));
        Ok(next)
    }
}

impl Source for Loaded {
    type Key = EventRow;
    type Slot = StateKeyRow;

    fn entry(&self, key: EventRow) -> Option<Entry<'_, EventRow, StateKeyRow>> {
        self.entries.get(&key).map(|loaded| Entry {
            event: &loaded.event,
            slot: loaded.slot,
            auth_events: &loaded.auth_events,
            rejected: loaded.rejected,
        })
    }

    fn slot(&self, event_type: &str, state_key: &str) -> Option<StateKeyRow> {
        self.slots
            .get(&(event_type.to_owned(), state_key.to_owned()))
            .copied()
    }
}
