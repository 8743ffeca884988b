//! Working on the events that wait: those of a room one after the other, rooms side by side.

use std::{collections::HashMap, time::Duration};

use ruma::{OwnedEventId, ServerName};
use spec::event::Event;
use storage::{
    Plain, Write,
    staged::{self, StagedEvent},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Inbound,
    staging::{Then, Turn},
};
use crate::{
    Error, Result,
    remote::{Lack, by_dependency},
    room::receive::{Incoming, Taken},
    rooms::RoomHandle,
};

/// How many rooms are worked on at the same time. They mostly wait for other servers.
const ROOMS_AT_ONCE: usize = 64;
/// How many events are brought to a room at once, so that others get their turn there.
const RUN_MAX: usize = 100;
/// How long one room is worked on before the next event in it waits for another turn: what a server never answers for
/// does not hold up the rest.
const TURN_TIME: Duration = Duration::from_secs(60);
/// How long one event may take with all that it builds on, the state of a large room included. Then it is tried again
/// after those that were tried less often; what was fetched for it is kept.
const EVENT_TIME: Duration = Duration::from_secs(180);
/// How long after it came an event is given up for which nobody can be reached, in ms.
const GIVE_UP_AFTER_MS: i64 = 60 * 60 * 1000;
/// The pause before the store is read again after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Where an event that waits came from.
struct Arrival {
    origin: String,
    received_ts: i64,
}

impl Inbound {
    /// How many events were acknowledged and wait for what they build on, now and whenever that changes.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<usize> {
        self.rooms.context.staging.waiting()
    }

    /// Works on the events that wait, those of an earlier run of the server first. Never ends; the caller runs and
    /// supervises it. Dropping it loses nothing.
    pub async fn take_staged(&self) {
        while let Err(error) = self.find_staged().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot read what waits"
            );
            sleep(STORE_PAUSE).await;
        }
        let staging = &self.rooms.context.staging;
        let mut working = JoinSet::new();
        loop {
            while working.len() < ROOMS_AT_ONCE
                && let Some(turn) = staging.next()
            {
                let inbound = self.clone();
                working.spawn(async move { inbound.work(turn).await });
            }
            let due = staging.next_due().filter(|_| working.len() < ROOMS_AT_ONCE);
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = staging.changed.notified() => {}
                () = due => {}
                Some(_) = working.join_next() => {}
            }
        }
    }

    /// Learns what waits on disk.
    async fn find_staged(&self) -> Result<()> {
        let context = &self.rooms.context;
        for waiting in staged::all(context.store.reader()).await? {
            if let Ok(origin) = ServerName::parse(&waiting.origin) {
                context.staging.add(waiting.room, &origin, waiting.event_id);
                context.staging.wake(waiting.room);
            }
        }
        Ok(())
    }

    /// Puts events on disk that wait for what they build on, and has them worked on. Those for which there is no room
    /// are refused.
    ///
    /// # Errors
    /// [`Error::Store`]: they cannot be put on disk; nothing is staged.
    pub(super) async fn stage(
        &self,
        origin: &ServerName,
        room: &RoomHandle,
        events: Vec<Event>,
    ) -> Result<Vec<(OwnedEventId, Result<()>)>> {
        let context = &self.rooms.context;
        let mut results = Vec::with_capacity(events.len());
        let mut models = Vec::with_capacity(events.len());
        for event in events {
            let id = event.id().to_owned();
            if context.staging.add(room.meta.row, origin, id.clone()) {
                models.push(StagedEvent {
                    room: room.meta.row,
                    event_id: id.to_string(),
                    origin: origin.to_string(),
                    received_ts: context.clock.now_ms(),
                    json: event.to_json(),
                });
                results.push((id, Ok(())));
            } else {
                let why = "Too many events wait for what they build on".to_owned();
                results.push((id, Err(Error::Refused(why))));
            }
        }
        let write = Write::plain(vec![Plain::Staged(models)]);
        if let Err(error) = context.store.write(write).await {
            let staged = results.iter().filter(|(_, result)| result.is_ok());
            let staged = staged.map(|(id, _)| id);
            context.staging.remove(room.meta.row, staged);
            return Err(error.into());
        }
        context.staging.wake(room.meta.row);
        Ok(results)
    }

    /// Works on one room. What fails here fails again later, after a pause.
    async fn work(&self, turn: Turn) {
        match self.work_on(&turn).await {
            Ok(then) => turn.end_with(then),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, room = %turn.room, "cannot work on what waits");
            }
        }
    }

    /// Answers what is to come after the turn.
    async fn work_on(&self, turn: &Turn) -> Result<Then> {
        let started = Instant::now();
        let room = self.rooms.by_row(turn.room).await?;
        let staged = staged::of_room(self.rooms.context.store.reader(), turn.room).await?;
        let mut unusable: Vec<OwnedEventId> = Vec::new();
        let mut arrivals = HashMap::new();
        let mut events = Vec::with_capacity(staged.len());
        let resident = room.is_resident().await?;
        for staged in staged {
            match staged.parse(room.meta.version) {
                Ok(event) if resident => {
                    let arrival = Arrival {
                        origin: staged.origin,
                        received_ts: staged.received_ts,
                    };
                    arrivals.insert(event.id().to_owned(), arrival);
                    events.push(event);
                }
                // This server has left the room meanwhile, or the store is damaged.
                _ => unusable.extend(OwnedEventId::try_from(staged.event_id)),
            }
        }
        self.unstage(&room, unusable).await?;
        let events = by_dependency(events, Event::prev_events);
        let mut left = Vec::new();
        for run in events.chunks(RUN_MAX) {
            left.extend(self.take_run(&room, run).await?);
        }
        let staging = &self.rooms.context.staging;
        let tries = staging.tries(turn.room);
        left.sort_by_key(|incoming| tries.get(incoming.event.id()).copied());
        let mut then = Then::Nothing;
        for (index, incoming) in left.into_iter().enumerate() {
            let id = incoming.event.id().to_owned();
            // One at least, so that each turn gets further, and what is hopeless is given up.
            if index > 0 && started.elapsed() > TURN_TIME {
                return Ok(match tries.contains_key(&id) {
                    true => Then::Later,
                    false => Then::GoOn,
                });
            }
            if let Some(arrival) = arrivals.get(&id)
                && !self.take_waiting(&room, incoming, arrival).await?
            {
                staging.tried(turn.room, &id);
                then = Then::Later;
            }
        }
        Ok(then)
    }

    /// Takes in what can be at once; returns the others.
    async fn take_run(&self, room: &RoomHandle, run: &[Event]) -> Result<Vec<Incoming>> {
        let incoming = run.iter().cloned().map(Incoming::new).collect();
        let incoming = room.ask_for_received(incoming).await?;
        let taken = match room.take_all(incoming.clone()).await {
            Ok(taken) => taken,
            Err(error) => {
                // One of them is at fault: they are tried one by one.
                tracing::warn!(room = %room.meta.id, %error, "a run of events failed");
                return Ok(incoming);
            }
        };
        let (done, left): (Vec<_>, Vec<_>) = incoming
            .into_iter()
            .zip(taken)
            .partition(|(_, taken)| matches!(taken, Taken::Stored(_)));
        let done = done.into_iter().map(|(one, _)| one.event.id().to_owned());
        self.unstage(room, done.collect()).await?;
        Ok(left.into_iter().map(|(incoming, _)| incoming).collect())
    }

    /// Takes in one event with what it builds on, or gives it up. `false`: it is to be tried later.
    async fn take_waiting(
        &self,
        room: &RoomHandle,
        incoming: Incoming,
        arrival: &Arrival,
    ) -> Result<bool> {
        let id = incoming.event.id().to_owned();
        let origin = ServerName::parse(&arrival.origin)
            .map_err(|error| Error::Internal(format!("the stored server name: {error}")))?;
        let late = || {
            let why = "It takes too long to fetch what it builds on".to_owned();
            Ok(Err(Lack::Unreachable(why)))
        };
        let taken = timeout(EVENT_TIME, room.take_from(&origin, incoming)).await;
        let why = match taken.unwrap_or_else(|_| late()) {
            Ok(Ok(_)) => None,
            Ok(Err(Lack::Unreachable(why))) => {
                let age = self.rooms.context.clock.now_ms() - arrival.received_ts;
                if age < GIVE_UP_AFTER_MS {
                    tracing::debug!(event = %id, room = %room.meta.id, why, "left for later");
                    return Ok(false);
                }
                Some(why)
            }
            Ok(Err(Lack::Refused(why))) => Some(why),
            Err(Error::Store(error)) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            metrics::counter!("rookery_federation_events_given_up_total").increment(1);
            tracing::info!(event = %id, room = %room.meta.id, why, "given up");
        }
        self.unstage(room, vec![id]).await?;
        Ok(true)
    }

    async fn unstage(&self, room: &RoomHandle, event_ids: Vec<OwnedEventId>) -> Result<()> {
        if event_ids.is_empty() {
            return Ok(());
        }
        let done = Plain::Unstaged {
            room: room.meta.row,
            event_ids: event_ids.clone(),
        };
        self.rooms
            .context
            .store
            .write(Write::plain(vec![done]))
            .await?;
        self.rooms.context.staging.remove(room.meta.row, &event_ids);
        Ok(())
    }
}
