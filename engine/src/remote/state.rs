//! Fetching the state after an event that is not to be had with what it builds on: server-server API, "Retrieving
//! events", `state_ids` and `state`.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId, OwnedServerName};
use spec::event::Event;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    check::check_state,
    gap::{Fetched, Lack},
};
use crate::{Result, peers::PeerError, rooms::RoomHandle, states::StateMap};

/// The largest state with its auth chain, in events, that is taken from an answer.
const STATE_EVENTS_MAX: usize = 200_000;
/// Up to how many missing events are fetched one by one, rather than the whole state.
const SINGLE_MAX: usize = 100;
/// How many whole states are fetched at once: each answer may have 160 MiB and is in memory until it is stored. One
/// server's events are worked on in 8 rooms at once (`ORIGIN_ROOMS_MAX`), which leaves some to others.
const WHOLE_AT_ONCE: usize = 12;

/// The turns for fetching whole states, of the whole server. Whoever has one waits for another server and then for the
/// room, and those wait for none.
pub(crate) struct WholeStates(Semaphore);

impl Default for WholeStates {
    fn default() -> Self {
        Self(Semaphore::new(WHOLE_AT_ONCE))
    }
}

impl WholeStates {
    /// Waits for a turn, which ends when it is dropped.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.0.acquire().await.ok()
    }
}

impl RoomHandle {
    /// The state after an event, as other servers know it. What is missing of it is fetched and stored as outliers, and so
    /// is the event.
    pub(super) async fn fetch_state_after(
        &self,
        sources: &[OwnedServerName],
        event_id: &EventId,
    ) -> Fetched<StateMap> {
        let mut lack = Lack::Refused(format!("The state after {event_id} cannot be had"));
        for (index, server) in sources.iter().enumerate() {
            let state = match self.fetch_state_ids(server, event_id).await? {
                Ok(state) => state,
                Err(why) => {
                    lack = why.into();
                    continue;
                }
            };
            let missing = self.unknown(vec![event_id.to_owned()]).await?;
            if !missing.is_empty() {
                let (events, _) = self.fetch_events(&sources[index..], &missing).await?;
                self.keep_outliers(events).await?;
            }
            if let Some(state) = self.read_state_after(state, event_id).await? {
                return Ok(Ok(state));
            }
        }
        Ok(Err(lack))
    }

    /// The ids of the state before an event. All that can be had of the events is stored then.
    async fn fetch_state_ids(
        &self,
        server: &OwnedServerName,
        event_id: &EventId,
    ) -> Result<std::result::Result<BTreeSet<OwnedEventId>, PeerError>> {
        let room = &self.meta.id;
        let too_large = || PeerError::Invalid {
            server: server.clone(),
            why: "the state is too large".to_owned(),
        };
        let (state, chain) = match self.peers()?.state_ids(server, room, event_id).await {
            Ok((state, chain)) if state.len() + chain.len() > STATE_EVENTS_MAX => {
                return Ok(Err(too_large()));
            }
            Ok(ids) => ids,
            Err(PeerError::Refused { .. }) => {
                return self.fetch_whole_state(server, event_id).await;
            }
            Err(error) => return Ok(Err(error)),
        };
        let all = state.iter().cloned().chain(chain).collect();
        let missing = self.unknown(all).await?;
        if missing.len() > SINGLE_MAX
            && let Ok(state) = self.fetch_whole_state(server, event_id).await?
        {
            return Ok(Ok(state));
        }
        if missing.len() > SINGLE_MAX {
            return Ok(Err(too_large()));
        }
        if !missing.is_empty() {
            let from = std::slice::from_ref(server);
            let (events, _) = self.fetch_events(from, &missing).await?;
            self.keep_outliers(events).await?;
        }
        Ok(Ok(state.into_iter().collect()))
    }

    async fn fetch_whole_state(
        &self,
        server: &OwnedServerName,
        event_id: &EventId,
    ) -> Result<std::result::Result<BTreeSet<OwnedEventId>, PeerError>> {
        // It lasts until the answer is stored.
        let _turn = self.context.whole_states.turn().await;
        let answer = self.peers()?.state(server, &self.meta.id, event_id).await;
        let (state, chain) = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        if state.len() + chain.len() > STATE_EVENTS_MAX {
            return Ok(Err(PeerError::Invalid {
                server: server.clone(),
                why: "the state is too large".to_owned(),
            }));
        }
        let (state, chain) = check_state(&self.context, self.meta.version, state, chain).await;
        let is_ours = |event: &Event| event.room_id() == self.meta.id;
        let mut all: Vec<Event> = state.into_iter().filter(is_ours).collect();
        let ids = all.iter().map(|event| event.id().to_owned()).collect();
        all.extend(chain.into_iter().filter(is_ours));
        self.keep_outliers(all).await?;
        Ok(Ok(ids))
    }

    /// The state of these events and, if it is part of the state, the one after which it is. `None`: the event is not
    /// stored, or the state is not one of this room.
    async fn read_state_after(
        &self,
        state: BTreeSet<OwnedEventId>,
        event_id: &EventId,
    ) -> Result<Option<StateMap>> {
        let event_id = event_id.to_owned();
        self.run(move |room| Box::pin(async move { room.fetched_state(&state, &event_id).await }))
            .await
    }
}
