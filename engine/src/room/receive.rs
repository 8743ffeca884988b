//! Taking in events of other servers: server-server API, "Checks performed on receipt of a PDU".
//!
//! Format, signatures and hashes have been checked before (see [`crate::inbound`]); parents and auth events are stored.
//! Here an event meets the rules: against its own auth events, against the state before it, against the current state.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use imbl::ordmap::DiffItem;
use ruma::{EventId, OwnedEventId};
use spec::{
    auth::{self, Denied},
    event::{Event, Parent},
};
use storage::{
    EventRow, Logged, Plain, SnapshotRow, events,
    members::Membership,
    snapshots::{self, Lineage},
    write::{NewEvent, NewMembership, Outcome, Place, Resettled},
};

use super::{Extremity, Pending, Room, resolve::resolve};
use crate::{Result, events::KnownEvent, states::StateMap};

/// How many events may be announced as to be brought to others and not have come in. They come at once, unless the rules
/// refuse them.
const RELAYED_MAX: usize = 64;
/// An event that came in, and what was fetched for it.
#[derive(Clone)]
pub(crate) struct Incoming {
    /// Its format, signatures and hash are right.
    pub(crate) event: Event,
    /// The state after those of its parents that are not to be had.
    pub(crate) fetched: HashMap<OwnedEventId, StateMap>,
}

impl Incoming {
    /// An event for which nothing was fetched.
    pub(crate) fn new(event: Event) -> Self {
        Self {
            event,
            fetched: HashMap::new(),
        }
    }
}

/// What became of an event that came in.
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    /// It has its place in the room, or none and is kept aside; perhaps it had it before.
    Stored(Outcome),
    /// These events have no place in the room, on which it builds.
    NeedsParents(Vec<OwnedEventId>),
    /// These events are not stored, which permit it.
    NeedsAuth(Vec<OwnedEventId>),
}

/// Events of the room by id.
type ById = HashMap<OwnedEventId, Arc<KnownEvent>>;

impl Room {
    /// Takes in events, each after those among them that it builds on; says of each what became of it, in order. All
    /// that can be taken is in one write.
    pub(crate) async fn take_in(
        &mut self,
        incoming: Vec<Incoming>,
    ) -> Result<(Vec<Taken>, Pending)> {
        let named = incoming.iter().flat_map(|incoming| named(&incoming.event));
        let named: Vec<&EventId> = named.collect();
        let mut at_hand = self.find(&named).await?;
        let mut taken = Vec::with_capacity(incoming.len());
        for incoming in incoming {
            taken.push(self.take_incoming(incoming, &mut at_hand).await?);
        }
        let pending = if self.batch.logged.is_empty() && self.batch.plain.is_empty() {
            // What was stored already may still be on its way.
            self.flushed().await
        } else {
            self.commit().await
        };
        Ok((taken, pending))
    }

    async fn take_incoming(&mut self, incoming: Incoming, at_hand: &mut ById) -> Result<Taken> {
        let Incoming { event, fetched } = incoming;
        let earlier = at_hand.get(event.id()).cloned();
        if let Some(earlier) = earlier.as_ref().filter(|earlier| is_placed(earlier)) {
            return Ok(Taken::Stored(earlier.outcome));
        }
        let parents = event.prev_events().iter().map(AsRef::as_ref);
        let parents: Vec<&EventId> = parents.filter(|id| !fetched.contains_key(*id)).collect();
        // A parent without a place in the room says nothing of the state.
        let missing = self.missing(&parents, at_hand, is_placed).await?;
        if !missing.is_empty() {
            return Ok(Taken::NeedsParents(missing));
        }
        let auth: Vec<&EventId> = event.auth_events().iter().map(AsRef::as_ref).collect();
        let missing = self.missing(&auth, at_hand, |_| true).await?;
        if !missing.is_empty() {
            return Ok(Taken::NeedsAuth(missing));
        }
        let mut states: Vec<StateMap> = fetched.values().cloned().collect();
        let mut hints: Vec<SnapshotRow> = Vec::with_capacity(parents.len() + 1);
        for parent in parents.iter().filter_map(|id| at_hand.get(*id)) {
            hints.extend(parent.snapshot);
            states.push(self.state_after(parent).await?);
        }
        hints.extend(self.lineage.row());
        let before = resolve(&self.context, self.meta.version, states).await?;
        let snapshot = self.snapshot_of(&before, &hints).await?;
        let outcome = self
            .judge(&event, earlier.as_deref(), &before, at_hand)
            .await?;
        let row = earlier.map(|earlier| earlier.row);
        let id = event.id().to_owned();
        let known = match outcome {
            Outcome::Accepted => {
                let gap = !fetched.is_empty();
                let relayed = self.relayed.remove(event.id());
                let outgoing = relayed || event.sender().server_name() == self.context.server_name;
                self.accept(event, row, before, snapshot, outgoing, gap)
                    .await?
            }
            outcome => self.store_aside(event, row, snapshot, outcome).await?,
        };
        at_hand.insert(id, known);
        Ok(Taken::Stored(outcome))
    }

    /// What becomes of an event by the rules: "Checks performed on receipt of a PDU", 4 to 6.
    async fn judge(
        &self,
        event: &Event,
        earlier: Option<&KnownEvent>,
        before: &StateMap,
        at_hand: &ById,
    ) -> Result<Outcome> {
        let room = &self.meta.id;
        // What was rejected when it was seen without its place stays so.
        if earlier.is_some_and(|earlier| earlier.outcome == Outcome::Rejected) {
            return Ok(Outcome::Rejected);
        }
        if event.is("m.room.create", "") && self.deciding.is_some() {
            tracing::info!(event = %event.id(), %room, "rejected: the room has a create event");
            return Ok(Outcome::Rejected);
        }
        if let Err(denied) = self.permitted_by(event, at_hand).await? {
            tracing::info!(event = %event.id(), %room, %denied, "rejected by its auth events");
            return Ok(Outcome::Rejected);
        }
        if let Err(denied) = self.allowed_by(event, before).await? {
            tracing::info!(event = %event.id(), %room, %denied, "rejected by the state before it");
            return Ok(Outcome::Rejected);
        }
        let current = self.current_with(before).await?;
        if let Err(denied) = self.allowed_by(event, &current).await? {
            tracing::info!(event = %event.id(), %room, %denied, "soft-failed");
            return Ok(Outcome::SoftFailed);
        }
        Ok(Outcome::Accepted)
    }

    /// Has an event that comes in next brought to the other servers in the room, though its sender is of another:
    /// server-server API, "Joining rooms". Nothing of it is kept before the event itself is.
    pub(crate) fn relay(&mut self, event: OwnedEventId) {
        if self.relayed.len() >= RELAYED_MAX {
            self.relayed.pop_first();
        }
        self.relayed.insert(event);
    }

    /// Those of these events that are stored or about to be. Two queries for 256 that are not in memory.
    pub(crate) async fn find(&self, ids: &[&EventId]) -> Result<ById> {
        let ids: BTreeSet<&EventId> = ids.iter().copied().collect();
        let mut rows = Vec::with_capacity(ids.len());
        let mut stored = Vec::new();
        for id in ids {
            match self.recent_events.find(id) {
                Some(row) => rows.push(row),
                None => stored.push(id),
            }
        }
        let stored = events::rows_by_ids(self.context.store.reader(), &stored).await?;
        rows.extend(stored.into_iter().map(|(_, row)| row));
        let known = self.context.events.get_many(&self.context.metas, &rows);
        let known = known.await?.into_iter();
        Ok(known
            .filter(|known| known.event.room_id() == self.meta.id)
            .map(|known| (known.event.id().to_owned(), known))
            .collect())
    }

    /// Those of these events that are not at hand, or not as they must be.
    async fn missing(
        &self,
        ids: &[&EventId],
        at_hand: &mut ById,
        fits: impl Fn(&KnownEvent) -> bool,
    ) -> Result<Vec<OwnedEventId>> {
        if ids.iter().any(|id| !at_hand.contains_key(*id)) {
            // It may be older than what is remembered here and still on its way to the disk.
            self.flushed().await.wait().await?;
            at_hand.extend(self.find(ids).await?);
        }
        let lacks = |id: &EventId| at_hand.get(id).is_none_or(|known| !fits(known));
        let missing = ids.iter().filter(|id| lacks(id));
        Ok(missing.map(|id| (*id).to_owned()).collect())
    }

    /// Enters a room through another server: `state` is the one before the `join`, whose events are stored. What the room
    /// was here before counts no more.
    pub(crate) async fn enter(&mut self, join: Event, state: StateMap) -> Result<Pending> {
        if let Err(denied) = self.allowed_by(&join, &state).await? {
            return Err(denied.into());
        }
        self.extremities.clear();
        let hints: Vec<SnapshotRow> = self.lineage.row().into_iter().collect();
        let snapshot = self.snapshot_of(&state, &hints).await?;
        // The server through which the user joins brings the join to the others.
        let gap = self.lacks_parents(&join).await?;
        self.accept(join, None, state, snapshot, false, gap).await?;
        Ok(self.commit().await)
    }

    /// Whether some of an event's parents are not part of the timeline.
    async fn lacks_parents(&self, event: &Event) -> Result<bool> {
        let parents = event.prev_events();
        let borrowed: Vec<&EventId> = parents.iter().map(AsRef::as_ref).collect();
        let found = self.find(&borrowed).await?;
        let in_timeline = |id: &OwnedEventId| found.get(id).is_some_and(|known| is_placed(known));
        Ok(!parents.iter().all(in_timeline))
    }

    /// Puts an accepted event into the room: extremities, current state, memberships. It is written with the next
    /// [`Room::commit`]. `gap`: some of its parents are not in the timeline.
    pub(super) async fn accept(
        &mut self,
        event: Event,
        row: Option<EventRow>,
        before: StateMap,
        snapshot: Option<SnapshotRow>,
        outgoing: bool,
        gap: bool,
    ) -> Result<Arc<KnownEvent>> {
        let promoted = row.is_some();
        let row = row.unwrap_or_else(|| self.context.store.ids().next_event());
        let mut after = before.clone();
        let mut key = None;
        let mut replaces = None;
        if let Some(state_key) = event.state_key() {
            let resolved = self
                .context
                .store
                .state_keys()
                .resolve(&[(event.event_type(), state_key)])
                .await?;
            self.batch.plain.extend(resolved.inserts);
            key = Some(resolved.rows[0]);
            replaces = after.insert(resolved.rows[0], row);
        }
        let event = Arc::new(event);
        let known = Arc::new(KnownEvent {
            row,
            json_bytes: event.to_json().len(),
            event: event.clone(),
            outcome: Outcome::Accepted,
            snapshot,
            replaces,
            redacted_by: None,
            txn: None,
        });
        self.remember(&known);
        let prev: Vec<_> = event.prev_events().to_vec();
        self.extremities
            .retain(|extremity| !prev.contains(&extremity.parent.id));
        let parent = Parent::of(self.meta.version, &event);
        self.extremities.push(Extremity { row, parent });
        let old = self.state.clone();
        self.state = self.current_after(row, after).await?;
        let hints: Vec<SnapshotRow> = snapshot.into_iter().chain(self.lineage.row()).collect();
        if self.state != old {
            self.move_lineage(&hints).await?;
            self.deciding = self.read_deciding().await?;
        }
        let expected = match key {
            Some(key) => old.update(key, row),
            None => old.clone(),
        };
        let resettled = if self.state == expected {
            None
        } else {
            Some(self.resettled(&old, row).await?)
        };
        self.batch.logged.push(Logged::Event(NewEvent {
            row,
            room: self.meta.row,
            event: event.clone(),
            outcome: Outcome::Accepted,
            state_key: key,
            snapshot,
            current: self.lineage.row(),
            replaces,
            place: Place::New,
            txn: None,
            membership: self.own_membership(&event, row, key),
            gap,
            resettled,
            promoted,
            outgoing,
        }));
        Ok(known)
    }

    /// Lets an event be found that is not written yet.
    fn remember(&mut self, known: &Arc<KnownEvent>) {
        self.context.events.put(known.clone());
        self.recent_events
            .remember(known.event.id().to_owned(), known.row);
    }

    /// The current state as it would be with the state before an event: what its branch has decided counts too, as in
    /// Synapse. Else nobody would be heard whose join this server has only seen as part of a state.
    async fn current_with(&self, before: &StateMap) -> Result<StateMap> {
        if *before == self.state {
            return Ok(self.state.clone());
        }
        let mut states = vec![before.clone()];
        for extremity in &self.extremities {
            let context = &self.context;
            let known = context.events.get(&context.metas, extremity.row).await?;
            states.push(self.state_after(&known).await?);
        }
        resolve(&self.context, self.meta.version, states).await
    }

    /// The current state, once `row` with the state `after` is an extremity.
    async fn current_after(&self, row: EventRow, after: StateMap) -> Result<StateMap> {
        let mut states = vec![after];
        for extremity in &self.extremities {
            if extremity.row != row {
                let known = self
                    .context
                    .events
                    .get(&self.context.metas, extremity.row)
                    .await?;
                states.push(self.state_after(&known).await?);
            }
        }
        resolve(&self.context, self.meta.version, states).await
    }

    /// Keeps an event that clients do not see. It is written with the next [`Room::commit`].
    async fn store_aside(
        &mut self,
        event: Event,
        row: Option<EventRow>,
        snapshot: Option<SnapshotRow>,
        outcome: Outcome,
    ) -> Result<Arc<KnownEvent>> {
        let event = Arc::new(event);
        let row = self
            .stage_aside(event.clone(), row, snapshot, outcome)
            .await?;
        let known = Arc::new(KnownEvent {
            row,
            json_bytes: event.to_json().len(),
            event,
            outcome,
            snapshot,
            replaces: None,
            redacted_by: None,
            txn: None,
        });
        self.remember(&known);
        Ok(known)
    }

    pub(super) async fn stage_aside(
        &mut self,
        event: Arc<Event>,
        row: Option<EventRow>,
        snapshot: Option<SnapshotRow>,
        outcome: Outcome,
    ) -> Result<EventRow> {
        let promoted = row.is_some();
        let row = row.unwrap_or_else(|| self.context.store.ids().next_event());
        let state_key = match event.state_key() {
            Some(state_key) => {
                let pair = (event.event_type(), state_key);
                let resolved = self.context.store.state_keys().resolve(&[pair]).await?;
                self.batch.plain.extend(resolved.inserts);
                Some(resolved.rows[0])
            }
            None => None,
        };
        self.batch.logged.push(Logged::Event(NewEvent {
            row,
            room: self.meta.row,
            event,
            outcome,
            state_key,
            snapshot,
            current: None,
            replaces: None,
            place: Place::Outlier,
            txn: None,
            membership: None,
            gap: false,
            resettled: None,
            promoted,
            outgoing: false,
        }));
        Ok(row)
    }

    /// Stores events that permit others or are part of a state. What its own auth events refuse is stored as rejected;
    /// what has auth events that are not to be had is dropped. All in one write.
    ///
    /// `events` must come in an order in which each follows its auth events.
    pub(crate) async fn store_outliers(&mut self, events: Vec<Event>) -> Result<()> {
        let pairs: Vec<(&str, &str)> = events
            .iter()
            .filter_map(|event| Some((event.event_type(), event.state_key()?)))
            .collect();
        // All at once, so that the look-ups of single ones below are answered from memory.
        drop(self.context.store.state_keys().resolve(&pairs).await?);
        let mut at_hand = self.at_hand(&events).await?;
        for event in events {
            if at_hand.contains_key(event.id()) {
                continue;
            }
            let auth: Option<Vec<_>> = event
                .auth_events()
                .iter()
                .map(|id| at_hand.get(id))
                .collect();
            let Some(auth) = auth else {
                tracing::info!(event = %event.id(), room = %self.meta.id, "dropped: its auth events are missing");
                continue;
            };
            let pairs: Vec<(Arc<Event>, bool)> = auth.into_iter().cloned().collect();
            let create = self.implied_create(&at_hand).await?;
            let rejected = match self.permitted(&event, &pairs, create) {
                Ok(()) => false,
                Err(denied) => {
                    tracing::info!(event = %event.id(), room = %self.meta.id, %denied, "rejected by its auth events");
                    true
                }
            };
            let outcome = if rejected {
                Outcome::Rejected
            } else {
                Outcome::Outlier
            };
            let event = Arc::new(event);
            at_hand.insert(event.id().to_owned(), (event.clone(), rejected));
            self.stage_aside(event, None, None, outcome).await?;
        }
        self.commit().await.wait().await?;
        Ok(())
    }

    /// Of `events` and of what permits them, those that are stored, and whether they were rejected.
    pub(super) async fn at_hand(
        &self,
        events: &[Event],
    ) -> Result<HashMap<OwnedEventId, (Arc<Event>, bool)>> {
        let ids = events.iter().flat_map(|event| {
            let auth = event.auth_events().iter().map(AsRef::as_ref);
            auth.chain([event.id()])
        });
        let ids: Vec<&EventId> = ids.collect();
        let known = self.find(&ids).await?.into_iter();
        let pair =
            |known: Arc<KnownEvent>| (known.event.clone(), known.outcome == Outcome::Rejected);
        Ok(known.map(|(id, known)| (id, pair(known))).collect())
    }

    /// The state that consists of those of these events that are stored and not rejected.
    pub(crate) async fn state_of(&self, ids: &BTreeSet<OwnedEventId>) -> Result<StateMap> {
        let borrowed: Vec<_> = ids.iter().map(AsRef::as_ref).collect();
        let stored = events::by_ids(self.context.store.reader(), &borrowed).await?;
        Ok(stored
            .into_iter()
            .filter(|stored| stored.outcome != Outcome::Rejected && stored.room == self.meta.row)
            .filter_map(|stored| Some((stored.state_key?, stored.id)))
            .collect())
    }

    /// The state after an event whose place in the room is not known: that of these events, and of itself. `None`: it is
    /// not stored, or the state is not one of this room.
    pub(crate) async fn fetched_state(
        &self,
        before: &BTreeSet<OwnedEventId>,
        event_id: &EventId,
    ) -> Result<Option<StateMap>> {
        let mut state = self.state_of(before).await?;
        let found = self.find(&[event_id]).await?;
        let Some(known) = found.get(event_id) else {
            return Ok(None);
        };
        if let Some(state_key) = known
            .event
            .state_key()
            .filter(|_| known.outcome != Outcome::Rejected)
        {
            let pair = (known.event.event_type(), state_key);
            let key = self.context.store.state_keys().resolve(&[pair]).await?.rows[0];
            state.insert(key, known.row);
        }
        let create = [("m.room.create", "")];
        let create = self.context.store.state_keys().find(&create).await?[0];
        let is_ours = create.is_some_and(|key| state.get(&key) == self.state.get(&key));
        Ok(Some(state).filter(|_| is_ours))
    }

    /// Those of these events that have a place in the room.
    pub(crate) async fn placed(&self, ids: &[&EventId]) -> Result<BTreeSet<OwnedEventId>> {
        let found = self.find(ids).await?.into_iter();
        let placed = found.filter(|(_, known)| is_placed(known));
        Ok(placed.map(|(id, _)| id).collect())
    }

    /// The ids of the forward extremities.
    pub(crate) fn extremity_ids(&self) -> Vec<OwnedEventId> {
        self.extremities
            .iter()
            .map(|extremity| extremity.parent.id.clone())
            .collect()
    }

    /// Whether an event's own auth events, which are at hand, are the right ones and allow it.
    async fn permitted_by(
        &self,
        event: &Event,
        at_hand: &ById,
    ) -> Result<std::result::Result<(), Denied>> {
        let auth = event.auth_events().iter();
        let pairs: Vec<(Arc<Event>, bool)> = auth
            .filter_map(|id| at_hand.get(id))
            .map(|known| (known.event.clone(), known.outcome == Outcome::Rejected))
            .collect();
        let create = self.implied_create(&HashMap::new()).await?;
        Ok(self.permitted(event, &pairs, create))
    }

    /// The same, with the auth events and whether each was rejected, and the create event where it is implied.
    pub(super) fn permitted(
        &self,
        event: &Event,
        auth: &[(Arc<Event>, bool)],
        create: Option<Arc<Event>>,
    ) -> std::result::Result<(), Denied> {
        let pairs = auth
            .iter()
            .map(|(event, rejected)| (event.as_ref(), *rejected));
        auth::check_auth_events(self.meta.version, event, pairs)?;
        let mut deciding = super::Deciding::default();
        for (event, _) in auth {
            deciding.add(event.clone());
        }
        if let Some(create) = create {
            deciding.add(create);
        }
        auth::check(self.meta.version, event, &deciding)
    }

    /// Whether a state allows an event.
    pub(super) async fn allowed_by(
        &self,
        event: &Event,
        state: &StateMap,
    ) -> Result<std::result::Result<(), Denied>> {
        let needed = auth::needed(
            self.meta.version,
            event.sender().as_str(),
            event.event_type(),
            event.state_key(),
            event.content(),
        );
        let mut pairs: Vec<(&str, &str)> =
            needed.iter().map(|(of, key)| (*of, key.as_str())).collect();
        pairs.push(("m.room.create", ""));
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let rows: Vec<EventRow> = keys
            .into_iter()
            .flatten()
            .filter_map(|key| state.get(&key).copied())
            .collect();
        let mut deciding = super::Deciding::default();
        for known in self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?
        {
            deciding.add(known.event.clone());
        }
        if let Some(create) = self.implied_create(&HashMap::new()).await? {
            deciding.add(create);
        }
        Ok(auth::check(self.meta.version, event, &deciding))
    }

    /// From version 12 on the create event is implied: it decides without being among the auth events. It is the current
    /// one, one of those at hand, or stored.
    pub(super) async fn implied_create(
        &self,
        at_hand: &HashMap<OwnedEventId, (Arc<Event>, bool)>,
    ) -> Result<Option<Arc<Event>>> {
        if !self.meta.version.auth.implied_create {
            return Ok(None);
        }
        if let Some(create) = self.state_event("m.room.create", "").await? {
            return Ok(Some(create.event.clone()));
        }
        let Ok(id) = EventId::parse(self.meta.id.as_str().replacen('!', "$", 1)) else {
            return Ok(None);
        };
        if let Some((create, _)) = at_hand.get(&id) {
            return Ok(Some(create.clone()));
        }
        let Some(stored) = events::by_id(self.context.store.reader(), &id).await? else {
            return Ok(None);
        };
        let known = self
            .context
            .events
            .get(&self.context.metas, stored.id)
            .await?;
        Ok(Some(known.event.clone()))
    }

    /// The state that results from an event of the room.
    pub(crate) async fn state_after(&self, known: &KnownEvent) -> Result<StateMap> {
        let before = self.context.states.get(known.snapshot).await?;
        // What was soft-failed takes part in the state of what builds on it; what was rejected does not.
        let Some(state_key) = known
            .event
            .state_key()
            .filter(|_| known.outcome != Outcome::Rejected)
        else {
            return Ok(before);
        };
        let pair = (known.event.event_type(), state_key);
        let key = self.context.store.state_keys().resolve(&[pair]).await?.rows[0];
        Ok(before.update(key, known.row))
    }

    /// A snapshot of `state`: one of `hints` that is the same, or a new one upon the nearest.
    pub(super) async fn snapshot_of(
        &mut self,
        state: &StateMap,
        hints: &[SnapshotRow],
    ) -> Result<Option<SnapshotRow>> {
        if state.is_empty() {
            return Ok(None);
        }
        for hint in hints {
            if self.context.states.get(Some(*hint)).await? == *state {
                return Ok(Some(*hint));
            }
        }
        let mut lineage = self.lineage_of(hints.first().copied()).await?;
        self.push_difference(&mut lineage, state)?;
        Ok(lineage.row())
    }

    /// Moves the head's lineage to the current state.
    async fn move_lineage(&mut self, hints: &[SnapshotRow]) -> Result<()> {
        let state = self.state.clone();
        let mut lineage = match self.lineage.row() {
            Some(_) => self.lineage.clone(),
            None => self.lineage_of(hints.first().copied()).await?,
        };
        self.push_difference(&mut lineage, &state)?;
        self.lineage = lineage;
        Ok(())
    }

    pub(super) async fn lineage_of(&self, snapshot: Option<SnapshotRow>) -> Result<Lineage> {
        match snapshot {
            Some(row) if Some(row) == self.lineage.row() => Ok(self.lineage.clone()),
            Some(row) => match snapshots::lineage(self.context.store.reader(), row).await {
                Ok(lineage) => Ok(lineage),
                // It is part of the write that is being built.
                Err(storage::Error::Corrupt(_)) => Ok(Lineage::empty()),
                Err(error) => Err(error.into()),
            },
            None => Ok(Lineage::empty()),
        }
    }

    /// Puts what distinguishes `state` from the lineage on top of it.
    pub(super) fn push_difference(
        &mut self,
        lineage: &mut Lineage,
        state: &StateMap,
    ) -> Result<()> {
        let old: StateMap = lineage.entries()?.into_iter().collect();
        let mut changes: Vec<_> = state
            .iter()
            .filter(|(key, row)| old.get(*key) != Some(*row))
            .map(|(key, row)| (*key, Some(*row)))
            .collect();
        changes.extend(
            old.keys()
                .filter(|key| !state.contains_key(*key))
                .map(|key| (*key, None)),
        );
        changes.sort_unstable();
        if changes.is_empty() && lineage.row().is_some() {
            return Ok(());
        }
        let snapshot = self.context.store.ids().next_snapshot();
        let written = lineage.push(self.meta.row, snapshot, &changes)?;
        self.batch.plain.push(Plain::Snapshot(written));
        self.context.states.put(snapshot, state.clone());
        Ok(())
    }

    /// What a member event makes of its user, if it is part of the current state.
    fn own_membership(
        &self,
        event: &Event,
        row: EventRow,
        key: Option<storage::StateKeyRow>,
    ) -> Option<NewMembership> {
        let current = key.and_then(|key| self.state.get(&key));
        super::new_membership(event).filter(|_| current == Some(&row))
    }

    /// What the way from the state `old` to the current one makes of users, apart from what the event `row` says itself.
    async fn resettled(&self, old: &StateMap, row: EventRow) -> Result<Resettled> {
        let mut changed = Vec::new();
        let mut lost = Vec::new();
        for item in old.diff(&self.state) {
            match item {
                DiffItem::Add(_, new) | DiffItem::Update { new: (_, new), .. } => {
                    changed.push(*new);
                }
                DiffItem::Remove(_, gone) => lost.push(*gone),
            }
        }
        changed.retain(|changed| *changed != row);
        let (events, metas) = (&self.context.events, &self.context.metas);
        let mut members = Vec::new();
        for known in events.get_many(metas, &changed).await? {
            let membership = super::new_membership(&known.event);
            members.extend(membership.map(|membership| (known.row, membership)));
        }
        // A membership that was dropped altogether: the user is in the room no more.
        for known in events.get_many(metas, &lost).await? {
            if let Some(was) = super::new_membership(&known.event) {
                let membership = NewMembership {
                    sender: was.user_id.clone(),
                    user_id: was.user_id,
                    membership: Membership::Leave,
                    displayname: None,
                    avatar_url: None,
                };
                members.push((known.row, membership));
            }
        }
        Ok(Resettled { members })
    }
}

/// All events that an event names for the rules, and itself.
fn named(event: &Event) -> impl Iterator<Item = &EventId> {
    let others = event.prev_events().iter().chain(event.auth_events());
    others.map(AsRef::as_ref).chain([event.id()])
}

/// Whether the state before an event is known. Only before the create event there is none.
fn is_placed(known: &KnownEvent) -> bool {
    known.snapshot.is_some()
        || (known.outcome == Outcome::Accepted && known.event.is("m.room.create", ""))
}
