//! The state of a room at a place that this server does not know, as others tell it.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId};
use storage::{events, write::Outcome};

use super::{Room, receive::is_placed};
use crate::{Result, states::StateMap};

impl Room {
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
}
