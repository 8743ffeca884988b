//! Making what a server gave whole: the events that are wanted, the states before them, and what permits them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use futures_util::stream::{self, StreamExt as _};
use ruma::{EventId, OwnedEventId, ServerName};
use spec::{event::Event, json::Object};
use storage::{events, events::StoredEvent, write::Outcome};

use super::{EVENTS_MAX, FROM_MAX};
use crate::{Result, peers::Peers, remote::by_dependency, rooms::RoomHandle};

/// For how many events of a batch the state before them is asked for. A batch has as many loose ends as the room had
/// branches.
const STATES_MAX: usize = 10;
/// Up to how many missing events are fetched one by one; more come with the whole state.
const SINGLES_MAX: usize = 50;
/// How many single events are asked for at once.
const SINGLES_AT_ONCE: usize = 10;
/// For how many events of a batch the auth chain is asked for.
const CHAINS_MAX: usize = 5;

/// A part of history, ready for the room's worker.
#[derive(Default)]
pub(crate) struct Batch {
    /// The events, each after those of its parents that are among them.
    pub(crate) events: Vec<Event>,
    /// The states before those events whose parents are neither stored nor among them.
    pub(crate) states: HashMap<OwnedEventId, BTreeSet<OwnedEventId>>,
    /// Events of these states, and events that permit others.
    pub(crate) aside: Vec<Event>,
}

impl RoomHandle {
    /// Of what a server gave as history, the events that are sound, of this room, not in the timeline yet, and that are
    /// wanted or lead back from one that is. Parents first.
    pub(super) async fn connected(
        &self,
        mut pdus: Vec<Object>,
        wanted: &[OwnedEventId],
    ) -> Result<Vec<Event>> {
        // Who sends more than was asked for has no more of it looked at.
        pdus.truncate(EVENTS_MAX as usize + FROM_MAX);
        let mut found: HashMap<OwnedEventId, Event> = self
            .checked(pdus)
            .await
            .into_iter()
            .map(|event| (event.id().to_owned(), event))
            .collect();
        let stored = self.stored_of(found.values()).await?;
        let foreign = |id: &OwnedEventId| {
            let stored = stored.get(id);
            stored.is_some_and(|stored| stored.room != self.meta.row)
        };
        found.retain(|id, event| !foreign(id) && !event.prev_events().iter().any(foreign));
        let placed = |id: &OwnedEventId| {
            let stored = stored.get(id);
            stored.is_some_and(|stored| stored.outcome == Outcome::Accepted)
        };
        let mut ways: VecDeque<OwnedEventId> = wanted.iter().cloned().collect();
        let mut connected = Vec::new();
        while let Some(id) = ways.pop_front() {
            if let Some(event) = found.remove(&id).filter(|_| !placed(&id)) {
                ways.extend(event.prev_events().iter().cloned());
                connected.push(event);
            }
        }
        Ok(by_dependency(connected, Event::prev_events))
    }

    /// The stored ones of some events and of their parents.
    async fn stored_of<'a>(
        &self,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<HashMap<OwnedEventId, StoredEvent>> {
        let mut ids: BTreeSet<OwnedEventId> = BTreeSet::new();
        for event in events {
            ids.insert(event.id().to_owned());
            ids.extend(event.prev_events().iter().cloned());
        }
        let borrowed: Vec<_> = ids.iter().map(AsRef::as_ref).collect();
        let stored = events::by_ids(self.context.store.reader(), &borrowed).await?;
        stored
            .into_iter()
            .map(|stored| Ok((stored.event_id()?, stored)))
            .collect()
    }

    /// Fetches what a batch lacks: the states before its loose ends, and what permits its events. What cannot be had is
    /// left out.
    pub(super) async fn completed(
        &self,
        peers: &dyn Peers,
        server: &ServerName,
        events: Vec<Event>,
    ) -> Result<Batch> {
        let mut batch = Batch::default();
        for siblings in self
            .loose_ends(&events)
            .await?
            .into_values()
            .take(STATES_MAX)
        {
            let Some(first) = siblings.first() else {
                continue;
            };
            if let Some(state) = self
                .fetch_state_before(peers, server, first, &mut batch.aside)
                .await?
            {
                let states = siblings.into_iter().map(|id| (id, state.clone()));
                batch.states.extend(states);
            }
        }
        let mut unpermitted = self.unpermitted(&events, &batch.aside).await?;
        unpermitted.truncate(CHAINS_MAX);
        for id in unpermitted {
            if let Ok(chain) = peers.event_auth(server, &self.meta.id, &id).await {
                batch.aside.extend(self.checked(chain).await);
            }
        }
        batch.events = events;
        Ok(batch)
    }

    /// The events with parents that are neither stored with a state nor among them, by these parents: the state before
    /// those with the same ones is the same.
    async fn loose_ends(
        &self,
        events: &[Event],
    ) -> Result<BTreeMap<Vec<OwnedEventId>, Vec<OwnedEventId>>> {
        let stored = self.stored_of(events.iter()).await?;
        let inside: HashSet<&EventId> = events.iter().map(Event::id).collect();
        let loose = |id: &&OwnedEventId| {
            !inside.contains(&***id)
                && stored
                    .get(*id)
                    .is_none_or(|stored| stored.snapshot.is_none())
        };
        let mut ends: BTreeMap<Vec<OwnedEventId>, Vec<OwnedEventId>> = BTreeMap::new();
        for event in events {
            let mut parents = event.prev_events().to_vec();
            parents.sort_unstable();
            if parents.iter().any(|id| loose(&id)) {
                ends.entry(parents).or_default().push(event.id().to_owned());
            }
        }
        Ok(ends)
    }

    /// The ids of the state before an event. Those of its events, and of what permits them, that are not stored are added
    /// to `aside`.
    async fn fetch_state_before(
        &self,
        peers: &dyn Peers,
        server: &ServerName,
        event_id: &EventId,
        aside: &mut Vec<Event>,
    ) -> Result<Option<BTreeSet<OwnedEventId>>> {
        let room = &self.meta.id;
        let Ok((state, chain)) = peers.state_ids(server, room, event_id).await else {
            return Ok(None);
        };
        let state: BTreeSet<OwnedEventId> = state.into_iter().collect();
        let mut missing: BTreeSet<OwnedEventId> = state.iter().cloned().chain(chain).collect();
        let borrowed: Vec<_> = missing.iter().map(AsRef::as_ref).collect();
        let rows = events::rows_by_ids(self.context.store.reader(), &borrowed).await?;
        for id in rows.iter().filter_map(|(id, _)| EventId::parse(id).ok()) {
            missing.remove(&id);
        }
        for event in aside.iter() {
            missing.remove(event.id());
        }
        if missing.len() > SINGLES_MAX {
            let Ok((whole, chain)) = peers.state(server, room, event_id).await else {
                return Ok(None);
            };
            aside.extend(self.checked(whole).await);
            aside.extend(self.checked(chain).await);
            return Ok(Some(state));
        }
        let found: Vec<Object> = stream::iter(missing)
            .map(|id| async move { peers.event(server, &id).await.ok() })
            .buffer_unordered(SINGLES_AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        aside.extend(self.checked(found).await);
        Ok(Some(state))
    }

    /// The events that name auth events which are not to be had.
    async fn unpermitted(&self, events: &[Event], aside: &[Event]) -> Result<Vec<OwnedEventId>> {
        let at_hand: HashSet<&EventId> = events.iter().chain(aside).map(Event::id).collect();
        let named: BTreeSet<&OwnedEventId> = events
            .iter()
            .flat_map(Event::auth_events)
            .filter(|id| !at_hand.contains(&***id))
            .collect();
        let borrowed: Vec<&EventId> = named.into_iter().map(AsRef::as_ref).collect();
        let rows = events::rows_by_ids(self.context.store.reader(), &borrowed).await?;
        let stored: HashSet<String> = rows.into_iter().map(|(id, _)| id).collect();
        let lacks = |event: &&Event| {
            let mut named = event.auth_events().iter();
            named.any(|id| !at_hand.contains(&**id) && !stored.contains(id.as_str()))
        };
        Ok(events
            .iter()
            .filter(lacks)
            .map(|event| event.id().to_owned())
            .collect())
    }
}
