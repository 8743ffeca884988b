//! Taking history into a room: events that were missing from its timeline. They change nothing of what the room is now.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};
use spec::event::Event;
use storage::{
    EventRow, Logged, Plain, StateKeyRow,
    events::{self, StoredEvent},
    snapshots::Lineage,
    timeline::Gap,
    write::{NewEvent, Outcome, Place},
};

use super::{Room, resolve::resolve};
use crate::{
    Result,
    events::KnownEvent,
    remote::{backfill::Batch, by_dependency},
    states::StateMap,
};

/// A gap, and the events that are missing right before it.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) gap: Gap,
    pub(crate) parents: BTreeSet<OwnedEventId>,
    /// Whether the batch leads up to the gap. Otherwise it is an island somewhere in it.
    pub(crate) leads_up: bool,
}

/// A state, and what is needed to store the next one.
#[derive(Clone)]
struct Line {
    lineage: Lineage,
    state: StateMap,
}

/// What has become of the events of a batch.
#[derive(Default)]
struct Taken {
    /// The state after each event that has one.
    lines: HashMap<OwnedEventId, Line>,
    /// Those that are part of history from now on, parents first.
    accepted: Vec<NewEvent>,
    /// Those that their own auth events refuse, with their parents.
    refused: HashMap<OwnedEventId, Vec<OwnedEventId>>,
}

impl Taken {
    /// An event that its own auth events refuse: what follows builds upon the state before it.
    fn refuse(&mut self, event: &Event, before: Option<Line>) {
        let id = event.id().to_owned();
        if let Some(before) = before {
            self.lines.insert(id.clone(), before);
        }
        self.refused.insert(id, event.prev_events().to_vec());
    }
}

impl Room {
    /// Puts a batch of events in front of the gaps, all of which have one anchor. Answers how many are new in the timeline.
    ///
    /// What the state before it refuses is left out, not stored as rejected: that state is another server's word.
    pub(crate) async fn take_history(
        &mut self,
        batch: Batch,
        missing: Vec<Missing>,
    ) -> Result<usize> {
        let Batch {
            events,
            states,
            mut aside,
        } = batch;
        // State events are stored before anything refers to them by row, as state resolution does.
        let of_state = events.iter().filter(|event| event.state_key().is_some());
        aside.extend(of_state.cloned());
        aside.sort_by(|a, b| a.id().cmp(b.id()));
        aside.dedup_by(|a, b| a.id() == b.id());
        self.flushed().await.wait().await?;
        self.store_outliers(by_dependency(aside, Event::auth_events))
            .await?;
        let stored = self.stored_with_parents(&events).await?;
        let at_hand = self.at_hand(&events).await?;
        let create = self.implied_create(&at_hand).await?;
        let mut taken = Taken::default();
        let order = events.clone();
        for event in events {
            let id = event.id().to_owned();
            let earlier = stored.get(&id).map(|stored| stored.outcome);
            let claimed = states.get(&id);
            let before = self
                .line_before(&event, claimed, &stored, &taken, &missing)
                .await?;
            match earlier {
                None | Some(Outcome::Outlier) => {}
                // A state event that was rejected just now: what follows builds upon the state before it.
                Some(Outcome::Rejected) => {
                    taken.refuse(&event, before);
                    continue;
                }
                // Somebody else has brought it.
                Some(Outcome::Accepted | Outcome::SoftFailed) => continue,
            }
            let auth: Option<Vec<_>> = event
                .auth_events()
                .iter()
                .map(|id| at_hand.get(id).cloned())
                .collect();
            let Some(auth) = auth else {
                tracing::info!(event = %id, room = %self.meta.id, "history is dropped: its auth events are missing");
                continue;
            };
            if let Err(denied) = self.permitted(&event, &auth, create.clone()) {
                tracing::info!(event = %id, room = %self.meta.id, %denied, "history is rejected by its auth events");
                taken.refuse(&event, before);
                let row = stored.get(&id).map(|stored| stored.id);
                self.stage_aside(Arc::new(event), row, None, Outcome::Rejected)
                    .await?;
                continue;
            }
            let Some(before) = before else {
                tracing::info!(event = %id, room = %self.meta.id, "history is dropped: the state before it is unknown");
                continue;
            };
            if let Err(denied) = self.allowed_by(&event, &before.state).await? {
                tracing::info!(event = %id, room = %self.meta.id, %denied, "history is dropped: the state before it refuses it");
                continue;
            }
            self.take_one(event, before, &stored, &mut taken).await?;
        }
        self.place(&order, &stored, taken, &missing).await
    }

    /// The stored ones of some events and of their parents.
    async fn stored_with_parents(
        &self,
        events: &[Event],
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
            .filter(|stored| stored.room == self.meta.row)
            .map(|stored| Ok((stored.event_id()?, stored)))
            .collect()
    }

    /// The state before an event: as claimed, or as it follows from its parents; `None` if that is not known of one.
    async fn line_before(
        &mut self,
        event: &Event,
        claimed: Option<&BTreeSet<OwnedEventId>>,
        stored: &HashMap<OwnedEventId, StoredEvent>,
        taken: &Taken,
        missing: &[Missing],
    ) -> Result<Option<Line>> {
        if let Some(claimed) = claimed {
            let state = self.state_of(claimed).await?;
            let near = missing.first().map(|missing| missing.gap.event);
            return Ok(Some(self.line_of(state, near).await?));
        }
        let mut lines: Vec<Line> = Vec::new();
        for parent in event.prev_events() {
            let line = match (taken.lines.get(parent), stored.get(parent)) {
                (Some(line), _) => line.clone(),
                (None, Some(parent)) if parent.snapshot.is_some() => {
                    self.line_after(parent).await?
                }
                _ => return Ok(None),
            };
            if !lines
                .iter()
                .any(|other| other.lineage.row() == line.lineage.row())
            {
                lines.push(line);
            }
        }
        if lines.len() < 2 {
            let empty = || Line {
                lineage: Lineage::empty(),
                state: StateMap::new(),
            };
            return Ok(Some(lines.pop().unwrap_or_else(empty)));
        }
        let states = lines.iter().map(|line| line.state.clone()).collect();
        let state = resolve(self.of(), states).await?;
        let mut lineage = lines.swap_remove(0).lineage;
        self.push_difference(&mut lineage, &state)?;
        Ok(Some(Line { lineage, state }))
    }

    /// A state that nothing leads to, stored as what distinguishes it from that before `near`.
    async fn line_of(&mut self, state: StateMap, near: Option<EventRow>) -> Result<Line> {
        let near = match near {
            Some(row) => {
                self.context
                    .events
                    .get(&self.context.metas, row)
                    .await?
                    .snapshot
            }
            None => None,
        };
        let mut lineage = self.lineage_of(near).await?;
        self.push_difference(&mut lineage, &state)?;
        Ok(Line { lineage, state })
    }

    /// The state after a stored event.
    async fn line_after(&mut self, stored: &StoredEvent) -> Result<Line> {
        let line = Line {
            lineage: self.lineage_of(stored.snapshot).await?,
            state: self.context.states.get(stored.snapshot).await?,
        };
        match stored.state_key {
            // As in `Room::state_after`: what was soft-failed takes part in the state of what builds on it.
            Some(key) if stored.outcome != Outcome::Rejected => {
                self.line_with(line, key, stored.id)
            }
            _ => Ok(line),
        }
    }

    /// A state with one more event in it.
    fn line_with(&mut self, mut line: Line, key: StateKeyRow, row: EventRow) -> Result<Line> {
        if line.state.insert(key, row) == Some(row) {
            return Ok(line);
        }
        let snapshot = self.context.store.ids().next_snapshot();
        let written = line
            .lineage
            .push(self.meta.row, snapshot, &[(key, Some(row))])?;
        self.also(Plain::Snapshot(written));
        self.context.states.put(snapshot, line.state.clone());
        Ok(line)
    }

    /// Makes an event part of history; it gets its place later.
    async fn take_one(
        &mut self,
        event: Event,
        before: Line,
        stored: &HashMap<OwnedEventId, StoredEvent>,
        taken: &mut Taken,
    ) -> Result<()> {
        let outlier = stored.get(event.id());
        let row = outlier.map_or_else(|| self.context.store.ids().next_event(), |stored| stored.id);
        let snapshot = before.lineage.row();
        let mut event = Arc::new(event);
        let mut redacted_by = None;
        if let Some(by) = outlier.and_then(|stored| stored.redacted_by) {
            // It was redacted before it had a place.
            let known = self.context.events.get(&self.context.metas, row).await?;
            event = Arc::clone(&known.event);
            redacted_by = Some(by);
            let json = event.to_json();
            self.also(Plain::Redacted {
                event: row,
                by,
                json,
            });
        }
        let mut key = None;
        let mut replaces = None;
        let mut after = before;
        if let Some(state_key) = event.state_key() {
            let pair = (event.event_type(), state_key);
            let resolved = self.context.store.state_keys().resolve(&[pair]).await?;
            for insert in resolved.inserts {
                self.also(insert);
            }
            let of_state = resolved.rows[0];
            key = Some(of_state);
            replaces = after
                .state
                .get(&of_state)
                .copied()
                .filter(|old| *old != row);
            after = self.line_with(after, of_state, row)?;
        }
        taken.lines.insert(event.id().to_owned(), after);
        self.context.events.put(Arc::new(KnownEvent {
            row,
            event: Arc::clone(&event),
            outcome: Outcome::Accepted,
            snapshot,
            replaces,
            redacted_by,
            txn: None,
            json_bytes: event.to_json().len(),
            unwritten: self.batch.under_way.watch(),
        }));
        taken.accepted.push(NewEvent {
            row,
            room: self.meta.row,
            event,
            outcome: Outcome::Accepted,
            state_key: key,
            snapshot,
            current: None,
            replaces,
            place: Place::Outlier,
            txn: None,
            membership: None,
            gap: false,
            resettled: None,
            promoted: outlier.is_some(),
            outgoing: false,
        });
        Ok(())
    }

    /// Gives the accepted events their places, marks what is missing before them, and writes it all.
    async fn place(
        &mut self,
        order: &[Event],
        stored: &HashMap<OwnedEventId, StoredEvent>,
        taken: Taken,
        missing: &[Missing],
    ) -> Result<usize> {
        let Taken {
            accepted, refused, ..
        } = taken;
        let count = accepted.len();
        let Some(anchor) = missing.first().map(|missing| missing.gap.spot.anchor) else {
            return Ok(0);
        };
        let ranks = ranks(order, missing);
        let rows: HashMap<OwnedEventId, EventRow> = accepted
            .iter()
            .map(|new| (new.event.id().to_owned(), new.row))
            .collect();
        let is_there = |id: &EventId| {
            rows.contains_key(id)
                || stored
                    .get(id)
                    .is_some_and(|stored| stored.outcome != Outcome::Outlier)
        };
        for new in &accepted {
            if lacks(new.event.prev_events(), &refused, &is_there) {
                self.also(Plain::Gap {
                    event: new.row,
                    open: true,
                });
            }
        }
        for Missing {
            gap,
            parents,
            leads_up,
        } in missing
        {
            let parents: Vec<OwnedEventId> = parents.iter().cloned().collect();
            if *leads_up && !lacks(&parents, &refused, &is_there) {
                self.also(Plain::Gap {
                    event: gap.event,
                    open: false,
                });
            }
        }
        let mut placed: Vec<(i64, NewEvent)> = accepted
            .into_iter()
            .rev()
            .map(|new| (ranks.get(new.event.id()).copied().unwrap_or(0), new))
            .collect();
        placed.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        for (rank, new) in placed {
            self.batch.logged.push(Logged::Event(NewEvent {
                place: Place::History { anchor, rank },
                ..new
            }));
        }
        self.commit().await.wait().await?;
        Ok(count)
    }
}

/// The order of events in front of the gaps: their depth, but never above that of an event that builds on them.
fn ranks(order: &[Event], missing: &[Missing]) -> HashMap<OwnedEventId, i64> {
    let mut highest: HashMap<&EventId, i64> = HashMap::new();
    let lower = |highest: &mut HashMap<_, _>, id, rank: i64| {
        let entry = highest.entry(id).or_insert(rank);
        *entry = rank.min(*entry);
    };
    for missing in missing {
        for parent in &missing.parents {
            lower(&mut highest, &**parent, missing.rank_max());
        }
    }
    let mut ranks = HashMap::new();
    for event in order.iter().rev() {
        let rank_max = highest.get(event.id()).copied().unwrap_or(i64::MAX - 1);
        let rank = event.depth().min(rank_max);
        for parent in event.prev_events() {
            lower(&mut highest, &**parent, rank);
        }
        ranks.insert(event.id().to_owned(), rank);
    }
    ranks
}

/// Whether one of these parents, or of those behind refused ones, is not there.
fn lacks(
    parents: &[OwnedEventId],
    refused: &HashMap<OwnedEventId, Vec<OwnedEventId>>,
    is_there: &impl Fn(&EventId) -> bool,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut ways: Vec<&OwnedEventId> = parents.iter().collect();
    while let Some(id) = ways.pop() {
        if !seen.insert(id) {
            continue;
        }
        match refused.get(id) {
            Some(parents) => ways.extend(parents),
            None if is_there(id) => {}
            None => return true,
        }
    }
    false
}
