//! Taking in an event and, in bounded steps, what it builds on: server-server API, "Retrieving missing events".
//!
//! First the events between are asked for. If they do not reach back to what is known, the state after the earliest
//! unknown parents is fetched (`state.rs`). What permits an event and is not there is fetched by `auth.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};
use spec::{event::Event, json::Object};
use storage::write::Outcome;

use super::{by_dependency, check};
use crate::{
    Error, Result,
    peers::{PeerError, Peers},
    room::receive::{Incoming, Taken},
    rooms::RoomHandle,
    states::StateMap,
};

/// How many missing events are asked for at once. Servers give fewer: Synapse at most 20.
const MISSING_MAX: u32 = 50;
/// How often missing events are asked for, before the state is: enough for [`GAP_EVENTS_MAX`], 20 at a time.
const ROUNDS_MAX: usize = 13;
/// How many missing events are kept: what is missing beyond is found by its state.
const GAP_EVENTS_MAX: usize = 250;
/// After how many unknown parents no more states are fetched for one event.
const STATES_MAX: usize = 20;
/// How often one event may go back to the room after something was fetched for it.
const TRIES_MAX: usize = 5;
/// How many servers are asked, one after the other.
const SERVERS_MAX: usize = 4;

/// Why an event cannot be taken in.
#[derive(Debug)]
pub(crate) enum Lack {
    /// Nobody answers who may have what is missing. Somebody may later.
    Unreachable(String),
    /// What it builds on cannot be had.
    Refused(String),
}

impl From<PeerError> for Lack {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Unreachable(_) => Self::Unreachable(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<Lack> for Error {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Unreachable(why) | Lack::Refused(why) => Self::Refused(why),
        }
    }
}

/// What was fetched, or why it was not; failures of this server apart.
pub(super) type Fetched<T> = Result<std::result::Result<T, Lack>>;

impl RoomHandle {
    /// Takes in an event whose signatures are right, fetching what is missing from `origin` and others.
    ///
    /// # Errors
    /// [`Error::Refused`]: what it builds on cannot be had. It may be tried again when it can.
    pub(crate) async fn take(&self, origin: &ServerName, event: Event) -> Result<Outcome> {
        let taken = self.take_from(origin, Incoming::new(event)).await?;
        taken.map_err(Error::from)
    }

    /// The same, telling apart what may be had later.
    pub(crate) async fn take_from(
        &self,
        origin: &ServerName,
        mut incoming: Incoming,
    ) -> Fetched<Outcome> {
        let mut sources = Vec::new();
        for _ in 0..TRIES_MAX {
            let taken = self.take_all(vec![incoming.clone()]).await?.pop();
            match taken {
                Some(Taken::Stored(outcome)) => return Ok(Ok(outcome)),
                Some(Taken::NeedsPolicy) => {
                    incoming = self.asked_for(incoming).await?;
                    continue;
                }
                _ => {}
            }
            if sources.is_empty() {
                sources = self.sources(origin, &incoming.event).await?;
            }
            let fetched = match taken {
                Some(Taken::NeedsAuth(ids)) => {
                    self.fetch_auth(&sources, &incoming.event, ids).await?
                }
                Some(Taken::NeedsParents(ids)) => {
                    self.fetch_parents(&sources, &mut incoming, ids).await?
                }
                Some(Taken::Stored(_) | Taken::NeedsPolicy) | None => Ok(()),
            };
            if let Err(lack) = fetched {
                return Ok(Err(lack));
            }
        }
        let why = format!("What {} builds on cannot be had", incoming.event.id());
        Ok(Err(Lack::Refused(why)))
    }

    /// Has the room's worker take in events, each after those that it builds on; on disk when this returns.
    pub(crate) async fn take_all(&self, incoming: Vec<Incoming>) -> Result<Vec<Taken>> {
        let (taken, pending, merge) = self
            .run(move |room| {
                Box::pin(async move {
                    let (taken, pending) = room.take_in(incoming).await?;
                    Ok((taken, pending, room.wants_signed_merge()))
                })
            })
            .await?;
        pending.wait().await?;
        if merge {
            self.merge_when_many();
        }
        Ok(taken)
    }

    /// The same event, after the policy server has been asked about it.
    async fn asked_for(&self, incoming: Incoming) -> Result<Incoming> {
        let asked = self.ask_for_received(vec![incoming.clone()]).await?.pop();
        // The room may have done without a policy server since: then nobody was asked, and it is not asked again.
        Ok(Incoming {
            asked: true,
            ..asked.unwrap_or(incoming)
        })
    }

    /// Whom to ask for what an event needs: who sent it here, its sender's server, those with most users in the room; last
    /// those that could not be reached lately.
    async fn sources(&self, origin: &ServerName, event: &Event) -> Result<Vec<OwnedServerName>> {
        let mut sources = vec![origin.to_owned(), event.sender().server_name().to_owned()];
        sources.dedup();
        for server in self.likely_servers(&[]).await? {
            if !sources.contains(&server) {
                sources.push(server);
            }
        }
        sources.retain(|server| *server != self.context.server_name);
        let peers = self.peers()?;
        sources.sort_by_key(|server| peers.is_resting(server));
        sources.truncate(SERVERS_MAX);
        Ok(sources)
    }

    /// Fetches the events between the room's extremities and an event, and takes them in, oldest first. Where they do
    /// not reach back to what is known, the state stands in for the parents: also, at last, for those of the event
    /// itself.
    async fn fetch_parents(
        &self,
        sources: &[OwnedServerName],
        incoming: &mut Incoming,
        missing: Vec<OwnedEventId>,
    ) -> Fetched<()> {
        let (gap, open) = self
            .fetch_between(sources, &incoming.event, missing)
            .await?;
        let mut states: HashMap<OwnedEventId, StateMap> = HashMap::new();
        let mut lack = None;
        for parent in open.into_iter().take(STATES_MAX) {
            match self.fetch_state_after(sources, &parent).await? {
                Ok(state) => {
                    states.insert(parent, state);
                }
                Err(why) => lack = Some(why),
            }
        }
        let of = |event: &Event| {
            let parents = event.prev_events().iter();
            let known = parents.filter_map(|id| Some((id.clone(), states.get(id)?.clone())));
            known.collect::<HashMap<_, _>>()
        };
        let gap: Vec<Incoming> = by_dependency(gap, Event::prev_events)
            .into_iter()
            .map(|event| Incoming {
                fetched: of(&event),
                asked: false,
                event,
            })
            .collect();
        self.take_gap(sources, gap).await?;
        incoming.fetched = of(&incoming.event);
        match lack {
            Some(why) if states.is_empty() => Ok(Err(why)),
            _ => Ok(Ok(())),
        }
    }

    /// Takes in the events of a gap. One that cannot be had stays out, and so does what builds on it.
    async fn take_gap(&self, sources: &[OwnedServerName], gap: Vec<Incoming>) -> Result<()> {
        let mut left = gap;
        for _ in 0..TRIES_MAX {
            if left.is_empty() {
                return Ok(());
            }
            left = self.ask_for_received(left).await?;
            let taken = self.take_all(left.clone()).await?;
            let mut next = Vec::new();
            let mut fetched_any = false;
            for (incoming, taken) in left.into_iter().zip(taken) {
                match taken {
                    Taken::Stored(_) => {}
                    Taken::NeedsParents(_) => next.push(incoming),
                    // One among them has brought the policy server in.
                    Taken::NeedsPolicy => {
                        fetched_any = true;
                        next.push(incoming);
                    }
                    Taken::NeedsAuth(ids) => {
                        match self.fetch_auth(sources, &incoming.event, ids).await? {
                            Ok(()) => {
                                fetched_any = true;
                                next.push(incoming);
                            }
                            Err(lack) => {
                                tracing::info!(event = %incoming.event.id(), ?lack, "dropped");
                            }
                        }
                    }
                }
            }
            if !fetched_any {
                return Ok(());
            }
            left = next;
        }
        Ok(())
    }

    /// The events between what is known and an event that builds on `missing`, as far as they can be had, and the
    /// parents that are not known even so, nearest first.
    async fn fetch_between(
        &self,
        sources: &[OwnedServerName],
        event: &Event,
        missing: Vec<OwnedEventId>,
    ) -> Result<(Vec<Event>, Vec<OwnedEventId>)> {
        let mut gap: BTreeMap<OwnedEventId, Event> = BTreeMap::new();
        let mut open = missing;
        for _ in 0..ROUNDS_MAX {
            let builds = |event: &Event| event.prev_events().iter().any(|id| open.contains(id));
            let latest = [event]
                .into_iter()
                .chain(gap.values())
                .filter(|event| builds(event));
            let latest: Vec<OwnedEventId> = latest.map(|event| event.id().to_owned()).collect();
            let found = self.ask_between(sources, &latest, &open).await?;
            let mut found: BTreeMap<OwnedEventId, Event> = found
                .into_iter()
                .map(|event| (event.id().to_owned(), event))
                .collect();
            // Only what the event builds on: a server may send whatever it likes.
            let mut wanted = open.clone();
            let mut parents = BTreeSet::new();
            while let Some(id) = wanted.pop() {
                if gap.len() == GAP_EVENTS_MAX {
                    break;
                }
                let Some(event) = found.remove(&id) else {
                    continue;
                };
                wanted.extend(event.prev_events().iter().cloned());
                parents.extend(event.prev_events().iter().cloned());
                gap.insert(id, event);
            }
            parents.extend(open.iter().cloned());
            parents.retain(|id| !gap.contains_key(id));
            let before = open.len();
            let unknown = self.without_place(parents).await?;
            let stuck = unknown.len() == before && unknown.iter().all(|id| open.contains(id));
            open = unknown;
            if open.is_empty() || stuck || gap.len() == GAP_EVENTS_MAX {
                break;
            }
        }
        Ok((gap.into_values().collect(), open))
    }

    /// Asks for the events before `latest`, until a server gives one of `open`.
    async fn ask_between(
        &self,
        sources: &[OwnedServerName],
        latest: &[OwnedEventId],
        open: &[OwnedEventId],
    ) -> Result<Vec<Event>> {
        let peers = self.peers()?;
        let earliest = self
            .run(|room| Box::pin(async move { Ok(room.extremity_ids()) }))
            .await?;
        for server in sources {
            let found = peers
                .missing_events(server, &self.meta.id, &earliest, latest, MISSING_MAX)
                .await;
            let mut found = match found {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(room = %self.meta.id, %error, "missing events cannot be had");
                    continue;
                }
            };
            found.truncate(MISSING_MAX as usize);
            let found = self.checked(found).await;
            if found
                .iter()
                .any(|event| open.iter().any(|id| id == event.id()))
            {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Those of these events that have no place in the room.
    async fn without_place(&self, ids: BTreeSet<OwnedEventId>) -> Result<Vec<OwnedEventId>> {
        self.run(move |room| {
            Box::pin(async move {
                let borrowed: Vec<&EventId> = ids.iter().map(AsRef::as_ref).collect();
                let placed = room.placed(&borrowed).await?;
                let unknown = ids.into_iter().filter(|id| !placed.contains(id));
                Ok(unknown.collect())
            })
        })
        .await
    }

    /// Those of the events that are of this room and signed as they must be.
    pub(crate) async fn checked(&self, objects: Vec<Object>) -> Vec<Event> {
        let mut events = Vec::with_capacity(objects.len());
        for checked in check(&self.context, self.meta.version, objects).await {
            match checked {
                Ok(event) if event.room_id() == self.meta.id => events.push(event),
                Ok(event) => tracing::info!(event = %event.id(), "dropped: it is of another room"),
                Err(flaw) => tracing::info!(room = %self.meta.id, flaw, "an event is dropped"),
            }
        }
        events
    }

    /// Stores events as outliers, if what permits them is there or among them.
    pub(super) async fn keep_outliers(&self, events: Vec<Event>) -> Result<()> {
        let events = by_dependency(events, Event::auth_events);
        self.run(move |room| Box::pin(async move { room.store_outliers(events).await }))
            .await
    }

    /// Those of these events that are not stored.
    pub(super) async fn unknown(&self, ids: Vec<OwnedEventId>) -> Result<BTreeSet<OwnedEventId>> {
        let list: Vec<&EventId> = ids.iter().map(AsRef::as_ref).collect();
        let db = self.context.store.reader();
        let stored = storage::events::rows_by_ids(db, &list).await?;
        let stored: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        let unknown = ids.into_iter();
        Ok(unknown.filter(|id| !stored.contains(id.as_str())).collect())
    }

    pub(crate) fn peers(&self) -> Result<&dyn Peers> {
        let peers = self.context.peers.get();
        Ok(peers
            .ok_or_else(|| Error::Refused("This server does not talk to others".to_owned()))?
            .as_ref())
    }
}
