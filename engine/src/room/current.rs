//! The current state of a room with several extremities, and the snapshots under which states are stored.

use imbl::ordmap::DiffItem;
use storage::{
    EventRow, Plain, SnapshotRow,
    snapshots::{self, Lineage},
    write::Outcome,
};

use super::{
    Room,
    resolve::{Of, resolve},
};
use crate::{Result, events::KnownEvent, states::StateMap};

/// The last resolution: what it was of, and what it gave. Along a branch the same states meet again with each event.
pub(super) struct Resolution {
    of: Vec<StateMap>,
    state: StateMap,
}

impl Room {
    /// What a resolution has to know of the room.
    pub(super) fn of(&self) -> Of<'_> {
        Of {
            context: &self.context,
            meta: &self.meta,
            recent: &self.recent_events,
        }
    }

    /// The one state that follows from several.
    pub(super) async fn resolve(&mut self, states: Vec<StateMap>) -> Result<StateMap> {
        let mut distinct: Vec<StateMap> = Vec::with_capacity(states.len());
        for state in states {
            if !distinct.contains(&state) {
                distinct.push(state);
            }
        }
        if distinct.len() <= 1 {
            return Ok(distinct.pop().unwrap_or_default());
        }
        if let Some(last) = &self.last_resolution
            && last.of.len() == distinct.len()
            && distinct.iter().all(|state| last.of.contains(state))
        {
            return Ok(last.state.clone());
        }
        let state = resolve(self.of(), distinct.clone()).await?;
        self.last_resolution = Some(Resolution {
            of: distinct,
            state: state.clone(),
        });
        Ok(state)
    }

    /// The current state as it would be with the state before an event: what its branch has decided counts too, as in
    /// Synapse. Else nobody would be heard whose join this server has only seen as part of a state.
    pub(super) async fn current_with(&mut self, before: &StateMap) -> Result<StateMap> {
        if *before == self.state {
            return Ok(self.state.clone());
        }
        let mut states = vec![before.clone()];
        for extremity in &self.extremities {
            let context = &self.context;
            let known = context.events.get(&context.metas, extremity.row).await?;
            states.push(self.state_after(&known).await?);
        }
        self.resolve(states).await
    }

    /// The current state, once `row` with the state `after` is an extremity.
    pub(super) async fn current_after(
        &mut self,
        row: EventRow,
        after: StateMap,
    ) -> Result<StateMap> {
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
        self.resolve(states).await
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
    pub(super) async fn move_lineage(&mut self, hints: &[SnapshotRow]) -> Result<()> {
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
        let known = lineage.row().and_then(|row| self.context.states.known(row));
        let old: StateMap = match known {
            // It shares with the new one all that is the same, which costs nothing then.
            Some(known) => known,
            None => lineage.entries()?.into_iter().collect(),
        };
        let changes: Vec<_> = old
            .diff(state)
            .map(|change| match change {
                DiffItem::Add(key, row)
                | DiffItem::Update {
                    new: (key, row), ..
                } => (*key, Some(*row)),
                DiffItem::Remove(key, _) => (*key, None),
            })
            .collect();
        if changes.is_empty() && lineage.row().is_some() {
            return Ok(());
        }
        let snapshot = self.context.store.ids().next_snapshot();
        let written = lineage.push(self.meta.row, snapshot, &changes)?;
        self.batch.plain.push(Plain::Snapshot(written));
        self.context.states.put(snapshot, state.clone());
        Ok(())
    }
}
