//! Taking in events of other servers: server-server API, "Checks performed on receipt of a PDU".
//!
//! Format, signatures and hashes have been checked before (see [`crate::inbound`]); parents and auth events are stored.
//! Here an event meets the rules: against its own auth events, against the state before it, against the current state.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, UserId};
use spec::{
    auth::{self, Denied},
    event::{Event, Parent},
};
use storage::{
    EventRow, Logged, Plain, SnapshotRow,
    events::{self, StoredEvent},
    members::Membership,
    snapshots::{self, Lineage},
    write::{At, NewEvent, NewMembership, Outcome, Place},
};

use super::{Extremity, Pending, Room, resolve::resolve};
use crate::{Error, Result, events::KnownEvent, states::StateMap};

/// How many events may be announced as to be brought to others and not have come in. They come at once, unless the rules
/// refuse them.
const RELAYED_MAX: usize = 64;

/// What became of an event that came in.
pub(crate) enum Taken {
    /// It was stored already, with its place in the room.
    Known,
    /// These events are not stored, on which it builds.
    NeedsParents(Vec<OwnedEventId>),
    /// These events are not stored, which permit it.
    NeedsAuth(Vec<OwnedEventId>),
    /// It is stored; here is the write to wait for.
    Stored(Outcome, Pending),
}

impl Room {
    /// Takes in an event whose format, signatures and hash are right. `before` is the state before it where that was
    /// fetched because its parents are not to be had.
    pub(crate) async fn take_in(
        &mut self,
        event: Event,
        before: Option<StateMap>,
    ) -> Result<Taken> {
        let is_cut_off = before.is_some();
        // Parents that were built a moment ago are not stored yet.
        self.flushed().await.wait().await?;
        let earlier = events::by_id(self.context.store.reader(), event.id()).await?;
        if earlier
            .as_ref()
            .is_some_and(|earlier| earlier.outcome != Outcome::Outlier)
        {
            return Ok(Taken::Known);
        }
        let auth = self.stored(event.auth_events()).await?;
        if let Err(missing) = auth {
            return Ok(Taken::NeedsAuth(missing));
        }
        let auth = auth.unwrap_or_default();
        let parents = match (&before, self.stored(event.prev_events()).await?) {
            (Some(_), _) => Vec::new(),
            (None, Err(missing)) => return Ok(Taken::NeedsParents(missing)),
            (None, Ok(parents)) => parents,
        };
        // A parent without a place in the room says nothing of the state.
        let outliers: Vec<OwnedEventId> = parents
            .iter()
            .filter(|parent| parent.snapshot.is_none() && parent.outcome == Outcome::Outlier)
            .map(|parent| parent.event_id().map_err(Error::from))
            .collect::<Result<_>>()?;
        if !outliers.is_empty() {
            return Ok(Taken::NeedsParents(outliers));
        }
        let row = earlier.map(|earlier| earlier.id);
        if let Err(denied) = self.permitted_by(&event, &auth).await? {
            tracing::info!(event = %event.id(), room = %self.meta.id, %denied, "rejected by its auth events");
            return self.store_aside(event, row, None, Outcome::Rejected).await;
        }
        let mut known = Vec::with_capacity(parents.len());
        for parent in &parents {
            known.push(
                self.context
                    .events
                    .get(&self.context.metas, parent.id)
                    .await?,
            );
        }
        let mut hints: Vec<SnapshotRow> =
            known.iter().filter_map(|parent| parent.snapshot).collect();
        hints.extend(self.lineage.row());
        let before = match before {
            Some(before) => before,
            None => {
                let mut states = Vec::with_capacity(known.len());
                for parent in &known {
                    states.push(self.state_after(parent).await?);
                }
                resolve(&self.context, self.meta.version, states).await?
            }
        };
        let snapshot = self.snapshot_of(&before, &hints).await?;
        if let Err(denied) = self.allowed_by(&event, &before).await? {
            tracing::info!(event = %event.id(), room = %self.meta.id, %denied, "rejected by the state before it");
            return self
                .store_aside(event, row, snapshot, Outcome::Rejected)
                .await;
        }
        let current = self.state.clone();
        if let Err(denied) = self.allowed_by(&event, &current).await? {
            tracing::info!(event = %event.id(), room = %self.meta.id, %denied, "soft-failed");
            return self
                .store_aside(event, row, snapshot, Outcome::SoftFailed)
                .await;
        }
        let relayed = self.relayed.remove(event.id());
        let outgoing = relayed || event.sender().server_name() == self.context.server_name;
        let gap = is_cut_off && self.lacks_parents(&event).await?;
        self.accept(event, row, before, snapshot, outgoing, gap)
            .await
    }

    /// Whether some of an event's parents are not part of the timeline.
    async fn lacks_parents(&self, event: &Event) -> Result<bool> {
        let parents = self.stored(event.prev_events()).await?;
        Ok(parents.map_or(true, |parents| {
            let mut parents = parents.iter();
            parents.any(|parent| parent.outcome == Outcome::Outlier)
        }))
    }

    /// Has an event that comes in next brought to the other servers in the room, though its sender is of another:
    /// server-server API, "Joining rooms". Nothing of it is kept before the event itself is.
    pub(crate) fn relay(&mut self, event: OwnedEventId) {
        if self.relayed.len() >= RELAYED_MAX {
            self.relayed.pop_first();
        }
        self.relayed.insert(event);
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
        match self.accept(join, None, state, snapshot, false, gap).await? {
            Taken::Stored(_, pending) => Ok(pending),
            _ => Err(Error::Internal(
                "a join that was accepted is stored".to_owned(),
            )),
        }
    }

    /// Puts an accepted event into the room, and writes it.
    async fn accept(
        &mut self,
        event: Event,
        row: Option<EventRow>,
        before: StateMap,
        snapshot: Option<SnapshotRow>,
        outgoing: bool,
        gap: bool,
    ) -> Result<Taken> {
        self.place_event(event, row, before, snapshot, outgoing, gap)
            .await?;
        Ok(Taken::Stored(Outcome::Accepted, self.commit().await))
    }

    /// Puts an accepted event into the room: extremities, current state, memberships. `gap`: some of its parents are not in
    /// the timeline. It is written with the next [`Room::commit`].
    pub(super) async fn place_event(
        &mut self,
        event: Event,
        row: Option<EventRow>,
        before: StateMap,
        snapshot: Option<SnapshotRow>,
        outgoing: bool,
        gap: bool,
    ) -> Result<EventRow> {
        let promoted = row.is_some();
        let row = row.unwrap_or_else(|| self.context.store.ids().next_event());
        if gap {
            self.also(Plain::Gap {
                event: row,
                open: true,
            });
        }
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
        let json_bytes = event.to_json().len();
        self.context.events.put(Arc::new(KnownEvent {
            row,
            event: event.clone(),
            outcome: Outcome::Accepted,
            snapshot,
            replaces,
            redacted_by: None,
            txn: None,
            json_bytes,
        }));
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
        let index = self.batch.logged.len();
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
            promoted,
            outgoing,
        }));
        self.resettle_members(&old, row, index).await?;
        Ok(row)
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

    /// Stores an event that clients do not see.
    async fn store_aside(
        &mut self,
        event: Event,
        row: Option<EventRow>,
        snapshot: Option<SnapshotRow>,
        outcome: Outcome,
    ) -> Result<Taken> {
        self.stage_aside(Arc::new(event), row, snapshot, outcome)
            .await?;
        Ok(Taken::Stored(outcome, self.commit().await))
    }

    pub(super) async fn stage_aside(
        &mut self,
        event: Arc<Event>,
        row: Option<EventRow>,
        snapshot: Option<SnapshotRow>,
        outcome: Outcome,
    ) -> Result<()> {
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
            promoted,
            outgoing: false,
        }));
        Ok(())
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
        let mut ids: Vec<OwnedEventId> = events
            .iter()
            .flat_map(|event| {
                event
                    .auth_events()
                    .iter()
                    .cloned()
                    .chain([event.id().to_owned()])
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let borrowed: Vec<_> = ids.iter().map(AsRef::as_ref).collect();
        let stored = events::by_ids(self.context.store.reader(), &borrowed).await?;
        let rows: Vec<EventRow> = stored.iter().map(|stored| stored.id).collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        let pair = |known: Arc<KnownEvent>| {
            (
                known.event.id().to_owned(),
                (known.event.clone(), known.outcome == Outcome::Rejected),
            )
        };
        Ok(known.into_iter().map(pair).collect())
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

    /// The ids of the forward extremities.
    pub(crate) fn extremity_ids(&self) -> Vec<OwnedEventId> {
        self.extremities
            .iter()
            .map(|extremity| extremity.parent.id.clone())
            .collect()
    }

    /// The stored forms of these events; or those that are not stored.
    async fn stored(
        &self,
        ids: &[OwnedEventId],
    ) -> Result<std::result::Result<Vec<StoredEvent>, Vec<OwnedEventId>>> {
        let borrowed: Vec<_> = ids.iter().map(AsRef::as_ref).collect();
        let found = events::by_ids(self.context.store.reader(), &borrowed).await?;
        let missing: Vec<OwnedEventId> = ids
            .iter()
            .filter(|id| !found.iter().any(|stored| stored.event_id == id.as_str()))
            .cloned()
            .collect();
        Ok(if missing.is_empty() {
            Ok(found)
        } else {
            Err(missing)
        })
    }

    /// Whether an event's own auth events are the right ones and allow it.
    async fn permitted_by(
        &self,
        event: &Event,
        auth: &[StoredEvent],
    ) -> Result<std::result::Result<(), Denied>> {
        let rows: Vec<EventRow> = auth.iter().map(|stored| stored.id).collect();
        let known = self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?;
        let pairs: Vec<(Arc<Event>, bool)> = known
            .into_iter()
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
        let Some(state_key) = known
            .event
            .state_key()
            .filter(|_| known.outcome == Outcome::Accepted)
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

    /// Brings the table of members to the current state where a resolution has changed more than the event itself.
    async fn resettle_members(
        &mut self,
        old: &StateMap,
        row: EventRow,
        index: usize,
    ) -> Result<()> {
        let changed = super::changed_entries(old, &self.state);
        let rows: Vec<EventRow> = changed
            .into_iter()
            .filter(|changed| *changed != row)
            .collect();
        for known in self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?
        {
            if let Some(membership) = super::new_membership(&known.event) {
                let (room, event) = (self.meta.row, known.row);
                let at = At::Logged(index);
                self.also(Plain::Membership {
                    room,
                    event,
                    membership,
                    at,
                });
            }
        }
        // A membership that the resolution dropped altogether: the user is in the room no more.
        let lost: Vec<_> = old
            .keys()
            .filter(|key| !self.state.contains_key(*key))
            .copied()
            .collect();
        for (event_type, user) in self.context.store.state_keys().names(&lost).await? {
            if event_type == "m.room.member"
                && let Ok(user_id) = UserId::parse(user)
            {
                let membership = NewMembership {
                    sender: user_id.clone(),
                    user_id,
                    membership: Membership::Leave,
                    displayname: None,
                    avatar_url: None,
                };
                let (room, at) = (self.meta.row, At::Logged(index));
                self.also(Plain::Membership {
                    room,
                    event: row,
                    membership,
                    at,
                });
            }
        }
        Ok(())
    }
}
