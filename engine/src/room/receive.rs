//! Taking in events of other servers: server-server API, "Checks performed on receipt of a PDU".
//!
//! Format, signatures and hashes have been checked before (see [`crate::inbound`]); parents and auth events are stored.
//! Here an event meets the rules: against its own auth events, against the state before it, against the current state.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};
use spec::event::Event;
use storage::{SnapshotRow, events, write::Outcome};

use super::{Pending, Room};
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
    /// The policy server of the room has been asked to sign it, with whatever success.
    pub(crate) asked: bool,
}

impl Incoming {
    /// An event for which nothing was fetched.
    pub(crate) fn new(event: Event) -> Self {
        Self {
            event,
            fetched: HashMap::new(),
            asked: false,
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
    /// The policy server of the room has not signed it.
    NeedsPolicy,
}

/// Events of the room by id.
pub(super) type ById = HashMap<OwnedEventId, Arc<KnownEvent>>;

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
        let Incoming {
            event,
            fetched,
            asked,
        } = incoming;
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
        let before = self.resolve(states).await?;
        let mut outcome = self
            .judge(&event, earlier.as_deref(), &before, at_hand)
            .await?;
        if outcome == Outcome::Accepted
            && let Some(policy) = self.policy_against(&event).await?
        {
            if !asked && policy.has_key() {
                return Ok(Taken::NeedsPolicy);
            }
            let (event, server) = (event.id(), policy.name());
            tracing::info!(%event, room = %self.meta.id, %server, "soft-failed: not recommended");
            outcome = Outcome::SoftFailed;
        }
        let snapshot = self.snapshot_of(&before, &hints).await?;
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

    /// What becomes of an event by the rules: "Checks performed on receipt of a PDU", 4 to 6. The seventh is
    /// [`Room::policy_against`].
    pub(super) async fn judge(
        &mut self,
        event: &Event,
        earlier: Option<&KnownEvent>,
        before: &StateMap,
        at_hand: &ById,
    ) -> Result<Outcome> {
        let room = self.meta.id.clone();
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
    pub(super) async fn missing(
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
}

/// All events that an event names for the rules, and itself.
fn named(event: &Event) -> impl Iterator<Item = &EventId> {
    let others = event.prev_events().iter().chain(event.auth_events());
    others.map(AsRef::as_ref).chain([event.id()])
}

/// Whether the state before an event is known. Only before the create event there is none.
pub(super) fn is_placed(known: &KnownEvent) -> bool {
    known.snapshot.is_some()
        || (known.outcome == Outcome::Accepted && known.event.is("m.room.create", ""))
}
