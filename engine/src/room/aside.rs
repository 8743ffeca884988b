//! Keeping events that have no place in the room, or that clients do not see.

use std::{collections::HashMap, sync::Arc};

use ruma::{EventId, OwnedEventId};
use spec::event::Event;
use storage::{
    EventRow, Logged, SnapshotRow,
    write::{NewEvent, Outcome, Place},
};

use super::Room;
use crate::{Result, events::KnownEvent};

impl Room {
    /// Keeps an event that clients do not see. It is written with the next [`Room::commit`].
    pub(super) async fn store_aside(
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
            unwritten: self.batch.under_way.watch(),
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
}
