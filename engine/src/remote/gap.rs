//! Taking in an event and, in bounded steps, what it builds on: server-server API, "Retrieving missing events".

use std::collections::BTreeSet;

use ruma::{OwnedEventId, ServerName};
use spec::{event::Event, json::Object};
use storage::write::Outcome;

use super::{by_dependency, check};
use crate::{
    Error, Result, peers::Peers, room::receive::Taken, rooms::RoomHandle, states::StateMap,
};

/// How many missing events are asked for at once.
const MISSING_MAX: u32 = 50;
/// How often one event may go back to the room after something was fetched for it.
const TRIES_MAX: usize = 4;

impl RoomHandle {
    /// Takes in an event whose signatures are right, fetching what is missing from `origin`.
    ///
    /// # Errors
    /// [`Error::Refused`]: what it builds on cannot be had. It may be tried again when it can.
    pub(crate) async fn take(&self, origin: &ServerName, event: Event) -> Result<Outcome> {
        for _ in 0..TRIES_MAX {
            match self.take_once(event.clone(), None).await? {
                Ok(outcome) => return Ok(outcome),
                Err(Missing::Auth(_)) => self.fetch_auth(origin, &event).await?,
                Err(Missing::Parents(_)) => {
                    self.fetch_between(origin, &event).await?;
                    match self.take_once(event.clone(), None).await? {
                        Ok(outcome) => return Ok(outcome),
                        Err(Missing::Auth(_)) => self.fetch_auth(origin, &event).await?,
                        Err(Missing::Parents(parents)) => {
                            let before = self.fetch_state(origin, &event, &parents).await?;
                            if let Ok(outcome) = self.take_once(event.clone(), Some(before)).await?
                            {
                                return Ok(outcome);
                            }
                        }
                    }
                }
            }
        }
        Err(Error::Refused(format!(
            "What {} builds on cannot be had",
            event.id()
        )))
    }

    async fn take_once(
        &self,
        event: Event,
        before: Option<StateMap>,
    ) -> Result<std::result::Result<Outcome, Missing>> {
        let taken = self
            .run(move |room| Box::pin(async move { room.take_in(event, before).await }))
            .await?;
        Ok(match taken {
            Taken::Known => Ok(Outcome::Accepted),
            Taken::NeedsAuth(ids) => Err(Missing::Auth(ids)),
            Taken::NeedsParents(ids) => Err(Missing::Parents(ids)),
            Taken::Stored(outcome, pending) => {
                pending.wait().await?;
                Ok(outcome)
            }
        })
    }

    /// Fetches the auth chain of an event and stores it as outliers.
    async fn fetch_auth(&self, origin: &ServerName, event: &Event) -> Result<()> {
        let peers = self.peers()?;
        let chain = peers
            .event_auth(origin, &self.meta.id, event.id())
            .await
            .map_err(unavailable)?;
        self.keep_outliers(chain).await
    }

    /// Fetches the events between the room's extremities and an event, and takes them in, oldest first. Those whose
    /// own parents are missing stay out.
    async fn fetch_between(&self, origin: &ServerName, event: &Event) -> Result<()> {
        let peers = self.peers()?;
        let earliest = self
            .run(|room| Box::pin(async move { Ok(room.extremity_ids()) }))
            .await?;
        let latest = [event.id().to_owned()];
        let found = peers
            .missing_events(origin, &self.meta.id, &earliest, &latest, MISSING_MAX)
            .await
            .unwrap_or_default();
        for missing in by_dependency(self.checked(found).await, Event::prev_events) {
            match self.take_once(missing.clone(), None).await? {
                Err(Missing::Auth(_)) => {
                    self.fetch_auth(origin, &missing).await?;
                    drop(self.take_once(missing, None).await?);
                }
                Err(Missing::Parents(parents)) => {
                    // The oldest of the gap: the state before it stands in for its parents.
                    let before = self.fetch_state(origin, &missing, &parents).await?;
                    drop(self.take_once(missing, Some(before)).await?);
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Fetches the state before an event whose parents are not to be had.
    async fn fetch_state(
        &self,
        origin: &ServerName,
        event: &Event,
        _parents: &[OwnedEventId],
    ) -> Result<StateMap> {
        let peers = self.peers()?;
        let (state, chain) = peers
            .state(origin, &self.meta.id, event.id())
            .await
            .map_err(unavailable)?;
        let state = self.checked(state).await;
        let wanted: BTreeSet<OwnedEventId> =
            state.iter().map(|event| event.id().to_owned()).collect();
        let mut all = self.checked(chain).await;
        all.extend(state);
        self.run(move |room| {
            Box::pin(async move {
                room.store_outliers(by_dependency(all, Event::auth_events))
                    .await?;
                room.state_of(&wanted).await
            })
        })
        .await
    }

    /// Stores events as outliers.
    async fn keep_outliers(&self, objects: Vec<Object>) -> Result<()> {
        let events = by_dependency(self.checked(objects).await, Event::auth_events);
        self.run(move |room| Box::pin(async move { room.store_outliers(events).await }))
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

    pub(crate) fn peers(&self) -> Result<&dyn Peers> {
        let peers = self.context.peers.get();
        Ok(peers
            .ok_or_else(|| Error::Refused("This server does not talk to others".to_owned()))?
            .as_ref())
    }
}

/// What an event needs that is not stored.
enum Missing {
    Auth(#[expect(dead_code, reason = "for the log")] Vec<OwnedEventId>),
    Parents(Vec<OwnedEventId>),
}

fn unavailable(error: crate::peers::PeerError) -> Error {
    Error::Refused(error.to_string())
}
