//! Resolving several states of a room into one: what `spec::resolve` needs, read from the caches and the store.

mod chains;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use spec::{
    auth::needed,
    event::Event,
    resolve::{self, Entry, ResolveError, Source},
    room_version::{RoomVersion, StateResolution},
};
use storage::{EventRow, StateKeyRow, write::Outcome};

use super::recent_events::RecentEvents;
use crate::{Error, Result, context::Context, room_meta::RoomMeta, states::StateMap};

const POWER_LEVELS: &str = "m.room.power_levels";

/// How many rounds of reading one resolution may take: each reads what a step of it asks for.
const ROUNDS_MAX: usize = 10_000;

/// The room whose states are resolved.
pub(super) struct Of<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) meta: &'a RoomMeta,
    /// The events that may not be written yet.
    pub(super) recent: &'a RecentEvents,
}

/// The one state that follows from several. Equal states are one; one state is its own resolution.
pub(super) async fn resolve(room: Of<'_>, mut states: Vec<StateMap>) -> Result<StateMap> {
    states.dedup();
    if states.len() <= 1 {
        return Ok(states.pop().unwrap_or_default());
    }
    let version = room.meta.version;
    let lists: Vec<Vec<(StateKeyRow, EventRow)>> = states
        .iter()
        .map(|state| state.iter().map(|(key, row)| (*key, *row)).collect())
        .collect();
    let mut loaded = Loaded::new(version);
    loaded.name_slots(room.context, &[]).await?;
    if version.state_resolution != StateResolution::V1 {
        loaded.read_chains(&room, &lists).await?;
    }
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
            Err(ResolveError::Missing(rows)) => loaded.load(&room, &rows).await?,
            Err(error) => return Err(Error::Internal(format!("state resolution: {error}"))),
        }
    }
    Err(Error::Internal(
        "state resolution does not come to an end".to_owned(),
    ))
}

/// The events that a resolution has asked for.
struct Loaded {
    version: &'static RoomVersion,
    entries: HashMap<EventRow, LoadedEvent>,
    /// The slots that are asked for when these events are checked; `None`: no event of any room has it.
    slots: HashMap<(String, String), Option<StateKeyRow>>,
    difference: BTreeSet<EventRow>,
    subgraph: BTreeSet<EventRow>,
}

struct LoadedEvent {
    event: Arc<Event>,
    slot: StateKeyRow,
    auth_events: Vec<EventRow>,
    rejected: bool,
}

impl Loaded {
    fn new(version: &'static RoomVersion) -> Self {
        Self {
            version,
            entries: HashMap::new(),
            slots: HashMap::new(),
            difference: BTreeSet::new(),
            subgraph: BTreeSet::new(),
        }
    }

    /// Finds out what of the auth chains takes part, and reads it.
    async fn read_chains(
        &mut self,
        room: &Of<'_>,
        lists: &[Vec<(StateKeyRow, EventRow)>],
    ) -> Result<()> {
        let slices: Vec<&[_]> = lists.iter().map(Vec::as_slice).collect();
        let conflicted = resolve::conflicted(&slices);
        self.difference = chains::difference(room, &slices).await?;
        if self.version.state_resolution == StateResolution::V2_1 {
            self.subgraph = chains::conflicted_subgraph(room, &conflicted).await?;
        }
        let all: BTreeSet<EventRow> = conflicted
            .iter()
            .chain(&self.difference)
            .chain(&self.subgraph)
            .copied()
            .collect();
        if all.len() > resolve::MAX_EVENTS {
            return Err(Error::Internal("state resolution: too large".to_owned()));
        }
        let all: Vec<EventRow> = all.into_iter().collect();
        self.load(room, &all).await
    }

    /// Learns the slots of these types and state keys, and of those that are asked for in every room.
    async fn name_slots(&mut self, context: &Context, pairs: &[(String, String)]) -> Result<()> {
        let always = ["m.room.create", "m.room.power_levels", "m.room.join_rules"];
        let always = always.map(|event_type| (event_type.to_owned(), String::new()));
        let pairs = always.iter().chain(pairs);
        let unknown: BTreeSet<(&str, &str)> = pairs
            .filter(|pair| !self.slots.contains_key(*pair))
            .map(|(event_type, state_key)| (event_type.as_str(), state_key.as_str()))
            .collect();
        let unknown: Vec<(&str, &str)> = unknown.into_iter().collect();
        let found = context.store.state_keys().find(&unknown).await?;
        let owned = |(kind, key): (&str, &str)| (kind.to_owned(), key.to_owned());
        let named: Vec<_> = unknown.into_iter().map(owned).zip(found).collect();
        self.slots.extend(named);
        Ok(())
    }

    /// Reads events; of power levels also those that they follow, since these are asked for one after the other.
    async fn load(&mut self, room: &Of<'_>, rows: &[EventRow]) -> Result<()> {
        let mut rows = rows.to_vec();
        while !rows.is_empty() {
            self.load_these(room, &rows).await?;
            let levels = rows.iter().filter_map(|row| self.entries.get(row));
            let levels = levels.filter(|loaded| loaded.event.event_type() == POWER_LEVELS);
            let before: BTreeSet<EventRow> = levels
                .flat_map(|loaded| &loaded.auth_events)
                .filter(|row| !self.entries.contains_key(row))
                .copied()
                .collect();
            rows = before.into_iter().collect();
        }
        Ok(())
    }

    /// Reads events, and finds the rows of their auth events and the slots that their checks ask for.
    async fn load_these(&mut self, room: &Of<'_>, rows: &[EventRow]) -> Result<()> {
        let context = room.context;
        let known = context.events.get_many(&context.metas, rows).await?;
        let by_id = chains::auth_rows(room, &known).await?;
        let (mut own, mut asked) = (Vec::with_capacity(known.len()), Vec::new());
        for known in &known {
            let event = &known.event;
            let state_key = event.state_key().ok_or_else(|| {
                Error::Internal(format!(
                    "{} is part of a state and no state event",
                    event.id()
                ))
            })?;
            own.push((event.event_type(), state_key));
            let (sender, kind) = (event.sender().as_str(), event.event_type());
            let needed = needed(self.version, sender, kind, Some(state_key), event.content());
            asked.extend(needed.into_iter().map(|(kind, key)| (kind.to_owned(), key)));
        }
        let slots = context.store.state_keys().resolve(&own).await?.rows;
        self.name_slots(context, &asked).await?;
        for (known, slot) in known.iter().zip(slots) {
            let auth_events = known.event.auth_events().iter();
            let auth_events = auth_events
                .filter_map(|id| by_id.get(id).copied())
                .collect();
            let loaded = LoadedEvent {
                event: known.event.clone(),
                slot,
                auth_events,
                rejected: known.outcome == Outcome::Rejected,
            };
            self.entries.insert(known.row, loaded);
        }
        Ok(())
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
            .flatten()
    }

    fn auth_difference(
        &self,
        _: &[&[(StateKeyRow, EventRow)]],
    ) -> std::result::Result<BTreeSet<EventRow>, ResolveError<EventRow>> {
        Ok(self.difference.clone())
    }

    fn conflicted_subgraph(
        &self,
        _: &BTreeSet<EventRow>,
    ) -> std::result::Result<BTreeSet<EventRow>, ResolveError<EventRow>> {
        Ok(self.subgraph.clone())
    }
}
