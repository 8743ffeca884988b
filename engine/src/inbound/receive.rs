//! Events of another server: server-server API, "Transactions".
//!
//! What can be taken in at once is; what lacks parents or auth events is staged and worked on later (`staged.rs`).
//! Either way it is on disk before the transaction is answered.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    time::Duration,
};

use futures_util::future::{join, join_all};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName};
use spec::{
    event::Event,
    json::{Object, Value},
};
use tokio::time::{Instant, timeout};

use super::Inbound;
use crate::{
    Error, Result,
    remote::{by_dependency, verify},
    room::receive::{Incoming, Taken},
    rooms::RoomHandle,
};

/// How long the answer waits for a room. Then its events are staged, and taken in when the room gets to it. Others wait
/// for our answer with theirs, a minute at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the keys of a transaction's events may take: events whose keys do not come are lost, unless somebody builds on
/// them. Servers get 10 s to answer for their keys, and notaries are asked beside them. The other events do not wait for it.
const KEYS_WITHIN: Duration = Duration::from_secs(20);

/// How long a transaction waits.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    /// For the keys of its events.
    pub(crate) keys: Duration,
    /// For each room; and for the keys, before what is known is taken in without the rest.
    pub(crate) room: Duration,
}

/// What is answered for an event: why it was refused, if it was.
type Results = BTreeMap<OwnedEventId, std::result::Result<(), String>>;

impl Inbound {
    /// Takes in events: in order within a room, side by side across rooms. Answers for each whose id can be known why it
    /// was refused, if it was. An event that the rules reject is no error: it is stored as what it is.
    ///
    /// # Errors
    /// [`Error::Store`]: some are not on disk. All may be sent again.
    pub async fn pdus(&self, origin: &ServerName, pdus: Vec<Object>) -> Result<Results> {
        let within = Within {
            keys: KEYS_WITHIN,
            room: ANSWER_WITHIN,
        };
        self.pdus_within(within, origin, pdus).await
    }

    /// The same, waiting only so long.
    pub(crate) async fn pdus_within(
        &self,
        within: Within,
        origin: &ServerName,
        mut pdus: Vec<Object>,
    ) -> Result<Results> {
        let started = Instant::now();
        let mut results = Results::new();
        for rescinding in self.rescind(origin, &mut pdus).await {
            results.insert(rescinding, Ok(()));
        }
        let (rooms, events) = self.sort(origin, pdus, &mut results).await?;
        let context = &self.rooms.context;
        let mut all = pin!(verify(context, events.clone(), within.keys));
        match timeout(within.room, &mut all).await {
            Ok(verified) => {
                let sound = sound(verified, &mut results);
                self.take_in(within, origin, &rooms, sound, &mut results)
                    .await?;
            }
            // What is signed with keys that are known waits for no others.
            Err(_) => {
                // All go on together: whoever asks for keys holds places that others need, connections to the store among them.
                let taking = async {
                    let known = verify(context, events, Duration::ZERO).await;
                    let known: Vec<Event> =
                        known.into_iter().filter_map(|(_, one)| one.ok()).collect();
                    let ids: HashSet<OwnedEventId> =
                        known.iter().map(|event| event.id().to_owned()).collect();
                    let taken = self.take_in(within, origin, &rooms, known, &mut results);
                    taken.await.map(|()| ids)
                };
                let (late, ids) = join(all, taking).await;
                let ids = ids?;
                let late = late.into_iter().filter(|(id, _)| !ids.contains(id));
                let late = sound(late, &mut results);
                self.take_in(within, origin, &rooms, late, &mut results)
                    .await?;
            }
        }
        metrics::histogram!("rookery_federation_pdus_seconds").record(started.elapsed());
        Ok(results)
    }

    /// Takes in events that are signed as they must be, side by side across rooms, and notes what has become of them.
    async fn take_in(
        &self,
        within: Within,
        origin: &ServerName,
        rooms: &BTreeMap<OwnedRoomId, Result<RoomHandle>>,
        events: Vec<Event>,
        results: &mut Results,
    ) -> Result<()> {
        let mut runs: BTreeMap<OwnedRoomId, Vec<Event>> = BTreeMap::new();
        for event in events {
            let run = runs.entry(event.room_id().to_owned()).or_default();
            run.push(event);
        }
        let runs = runs.into_iter().filter_map(|(room, events)| {
            let room = rooms.get(&room)?.as_ref().ok()?;
            Some(self.take_in_room(within.room, origin, room, events))
        });
        let taken: Result<Vec<_>> = join_all(runs).await.into_iter().collect();
        for (id, taken) in taken?.into_iter().flatten() {
            let taken = taken.map_err(|error| match error {
                Error::Internal(_) => "Something went wrong here".to_owned(),
                error => error.to_string(),
            });
            results.insert(id, taken);
        }
        Ok(())
    }

    /// Finds the rooms of events and reads the events by the versions of their rooms. Those of rooms in which `origin`
    /// has no say are refused, and so are those that are none.
    async fn sort(
        &self,
        origin: &ServerName,
        pdus: Vec<Object>,
        results: &mut Results,
    ) -> Result<(
        BTreeMap<OwnedRoomId, Result<RoomHandle>>,
        Vec<(&'static spec::room_version::RoomVersion, Event)>,
    )> {
        let mut rooms: BTreeMap<OwnedRoomId, Result<RoomHandle>> = BTreeMap::new();
        let mut events = Vec::with_capacity(pdus.len());
        for pdu in pdus {
            // What names no room cannot even be called by an id: it is dropped.
            let room_id = pdu.get("room_id").and_then(Value::as_str);
            let Some(Ok(room_id)) = room_id.map(RoomId::parse) else {
                continue;
            };
            if !rooms.contains_key(&room_id) {
                let room = match self.resident_room(origin, &room_id).await {
                    Err(error @ Error::Store(_)) => return Err(error),
                    room => room,
                };
                rooms.insert(room_id.clone(), room);
            }
            match &rooms[&room_id] {
                Ok(room) => {
                    let version = room.meta.version;
                    let id = Event::id_of(version, &pdu);
                    match Event::parse(version, pdu) {
                        Ok(event) => events.push((version, event)),
                        Err(flaw) => refuse(results, id, flaw.to_string()),
                    }
                }
                Err(error) => {
                    let id = self.id_in(&room_id, &pdu).await;
                    refuse(results, id, error.to_string());
                }
            }
        }
        Ok((rooms, events))
    }

    /// The id of an event, in a room that this server is not in. Of one that it does not know the version is not known
    /// either, and so only the ids that their servers chose.
    async fn id_in(&self, room: &RoomId, pdu: &Object) -> Option<OwnedEventId> {
        match self.rooms.by_id(room).await {
            Ok(room) => Event::id_of(room.meta.version, pdu),
            Err(_) => EventId::parse(pdu.get("event_id")?.as_str()?).ok(),
        }
    }

    /// Takes in the events of one room, in an order in which each follows its parents.
    async fn take_in_room(
        &self,
        answer_within: Duration,
        origin: &ServerName,
        room: &RoomHandle,
        events: Vec<Event>,
    ) -> Result<Vec<(OwnedEventId, Result<()>)>> {
        let mut results = Vec::with_capacity(events.len());
        let mut allowed = Vec::with_capacity(events.len());
        for event in events {
            match room.check_acl(event.sender().server_name()).await {
                Ok(()) => allowed.push(event),
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => results.push((event.id().to_owned(), Err(error))),
            }
        }
        let events = by_dependency(allowed, Event::prev_events);
        let incoming = events.iter().cloned().map(Incoming::new).collect();
        let taken = match timeout(answer_within, room.take_all(incoming)).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(error)) => {
                // One of them may be at fault: they are tried one by one.
                tracing::warn!(room = %room.meta.id, %error, "a run of events failed");
                Vec::new()
            }
            Err(_) => {
                tracing::info!(room = %room.meta.id, "the room is slow: its events are staged");
                Vec::new()
            }
        };
        let mut taken = taken.into_iter();
        let mut waiting = Vec::new();
        for event in events {
            match taken.next() {
                Some(Taken::Stored(_)) => results.push((event.id().to_owned(), Ok(()))),
                _ => waiting.push(event),
            }
        }
        if !waiting.is_empty() {
            results.extend(self.stage(origin, room, waiting).await?);
        }
        Ok(results)
    }
}

/// The events that are signed as they must be; the others are refused.
fn sound(
    verified: impl IntoIterator<Item = (OwnedEventId, std::result::Result<Event, String>)>,
    results: &mut Results,
) -> Vec<Event> {
    let mut sound = Vec::new();
    for (id, verified) in verified {
        match verified {
            Ok(event) => sound.push(event),
            Err(flaw) => refuse(results, Some(id), flaw),
        }
    }
    sound
}

fn refuse(results: &mut Results, id: Option<OwnedEventId>, why: String) {
    tracing::info!(
        event = id.as_ref().map(|id| id.as_str()),
        why,
        "an event is refused"
    );
    results.extend(id.map(|id| (id, Err(why))));
}
