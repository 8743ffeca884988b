//! Which events wait for what they build on: a table in memory over the one on disk.
//!
//! An event is staged before its transaction is answered, so that a crash does not lose it, and worked on afterwards
//! (`staged.rs`): the events of a room one after the other, rooms side by side.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};
use storage::RoomRow;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How many events of one room may wait: all of them are in memory while the room is worked on.
const ROOM_EVENTS_MAX: usize = 500;
/// How many events from one server may wait: nobody fills the table for all others.
const ORIGIN_EVENTS_MAX: usize = 2_000;
/// How many events may wait in all: on disk at most 64 KiB each, as a rule 1 KiB.
const EVENTS_MAX: usize = 20_000;
/// In how many rooms at once one server's events are worked on: servers that never answer for what they sent keep only
/// so many turns from all others.
const ORIGIN_ROOMS_MAX: usize = 8;
/// The pause before a room is tried again where nobody could be reached; doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(10);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// See the module.
pub(crate) struct Staging {
    table: Mutex<Table>,
    /// Somebody should look for work.
    pub(super) changed: Notify,
    waiting: watch::Sender<usize>,
}

#[derive(Default)]
struct Table {
    rooms: BTreeMap<RoomRow, Queue>,
    origins: HashMap<OwnedServerName, usize>,
    /// How many rooms are worked on at the expense of each server.
    turns: HashMap<OwnedServerName, usize>,
    events: usize,
}

/// What waits in one room.
#[derive(Default)]
struct Queue {
    events: HashMap<OwnedEventId, Waiting>,
    /// From when on it is to be worked on; `None`: nothing is to be done.
    due: Option<Instant>,
    busy: bool,
    /// How often in a row it was left for later.
    delays: u32,
}

/// An event that waits.
struct Waiting {
    /// Who sent it.
    origin: OwnedServerName,
    /// How often it was left for later.
    tries: u32,
}

impl Table {
    /// Whether a server may have one more room worked on.
    fn may_pay(&self, origin: &ServerName) -> bool {
        let turns = self.turns.get(origin).copied().unwrap_or_default();
        turns < ORIGIN_ROOMS_MAX
    }

    /// Of the servers that may have one more room worked on, the one that has most events in a queue: whoever sent one
    /// among many does not pay for the others. Looks at each event.
    fn payer(&self, queue: &Queue) -> Option<OwnedServerName> {
        let mut counts: BTreeMap<&OwnedServerName, usize> = BTreeMap::new();
        for waiting in queue.events.values() {
            *counts.entry(&waiting.origin).or_default() += 1;
        }
        counts.retain(|origin, _| self.may_pay(origin));
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(origin, _)| origin.clone())
    }

    /// The rooms that wait for somebody, as far as anybody may pay for them. Nobody pays for looking after a room in which
    /// nothing waits any more.
    fn open(&self) -> impl Iterator<Item = (RoomRow, Instant)> {
        let idle = self.rooms.iter().filter(|(_, queue)| !queue.busy);
        idle.filter_map(|(room, queue)| {
            let due = queue.due?;
            let mut origins = queue.events.values().map(|waiting| &waiting.origin);
            let is_paid = origins.any(|origin| self.may_pay(origin));
            (is_paid || queue.events.is_empty()).then_some((*room, due))
        })
    }
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            changed: Notify::new(),
            waiting: watch::Sender::new(0),
        }
    }
}

impl Staging {
    /// How many events wait, now and whenever that changes.
    pub(crate) fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Notes that an event waits. `false`: it may not, since too many do. One that waits already is noted once.
    pub(super) fn add(&self, room: RoomRow, origin: &ServerName, event_id: OwnedEventId) -> bool {
        let mut table = self.table();
        let of_origin = table.origins.get(origin).copied().unwrap_or_default();
        let full = table.events >= EVENTS_MAX || of_origin >= ORIGIN_EVENTS_MAX;
        let queue = table.rooms.entry(room).or_default();
        if queue.events.contains_key(&event_id) {
            return true;
        }
        if full || queue.events.len() >= ROOM_EVENTS_MAX {
            return false;
        }
        let waiting = Waiting {
            origin: origin.to_owned(),
            tries: 0,
        };
        queue.events.insert(event_id, waiting);
        *table.origins.entry(origin.to_owned()).or_default() += 1;
        table.events += 1;
        self.count(&table);
        true
    }

    /// Notes that events wait no more.
    pub(super) fn remove<'a>(
        &self,
        room: RoomRow,
        event_ids: impl IntoIterator<Item = &'a OwnedEventId>,
    ) {
        let mut table = self.table();
        for id in event_ids {
            let queue = table.rooms.get_mut(&room);
            let Some(waiting) = queue.and_then(|queue| queue.events.remove(id)) else {
                continue;
            };
            take_one(&mut table.origins, &waiting.origin);
            table.events -= 1;
        }
        self.count(&table);
    }

    /// Notes that an event was left for later.
    pub(super) fn tried(&self, room: RoomRow, event_id: &EventId) {
        let mut table = self.table();
        let queue = table.rooms.get_mut(&room);
        if let Some(waiting) = queue.and_then(|queue| queue.events.get_mut(event_id)) {
            waiting.tries = waiting.tries.saturating_add(1);
        }
    }

    /// How often each event of a room was left for later, where that is more than never.
    pub(super) fn tries(&self, room: RoomRow) -> HashMap<OwnedEventId, u32> {
        let table = self.table();
        let queue = table.rooms.get(&room);
        let events = queue.into_iter().flat_map(|queue| &queue.events);
        events
            .filter(|(_, waiting)| waiting.tries > 0)
            .map(|(id, waiting)| (id.clone(), waiting.tries))
            .collect()
    }

    /// Has a room worked on. One that is to be worked on already keeps its place.
    pub(super) fn wake(&self, room: RoomRow) {
        let mut table = self.table();
        let now = Instant::now();
        let queue = table.rooms.entry(room).or_default();
        queue.due = Some(queue.due.map_or(now, |earlier| earlier.min(now)));
        drop(table);
        self.changed.notify_one();
    }

    /// The room that has been due for longest; nobody else gets it until the turn is dropped.
    pub(super) fn next(self: &Arc<Self>) -> Option<Turn> {
        let mut table = self.table();
        let now = Instant::now();
        let due = table.open().filter(|(_, due)| *due <= now);
        let (room, _) = due.min_by_key(|(_, due)| *due)?;
        let payer = table.payer(table.rooms.get(&room)?);
        let queue = table.rooms.get_mut(&room)?;
        queue.busy = true;
        queue.due = None;
        if let Some(payer) = &payer {
            *table.turns.entry(payer.clone()).or_default() += 1;
        }
        Some(Turn {
            staging: Arc::clone(self),
            room,
            payer,
            then: Then::Later,
        })
    }

    /// When the next room is to be worked on, if none is now.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let table = self.table();
        table.open().map(|(_, due)| due).min()
    }

    fn end(&self, room: RoomRow, payer: Option<&OwnedServerName>, then: Then) {
        let mut table = self.table();
        if let Some(payer) = payer {
            take_one(&mut table.turns, payer);
        }
        if let Some(queue) = table.rooms.get_mut(&room) {
            queue.busy = false;
            let due = match then {
                Then::Nothing => {
                    queue.delays = 0;
                    None
                }
                Then::GoOn => Some(Instant::now()),
                Then::Later => {
                    let pause = RETRY_MIN * 2_u32.saturating_pow(queue.delays.min(16));
                    queue.delays = queue.delays.saturating_add(1);
                    Some(Instant::now() + pause.min(RETRY_MAX))
                }
            };
            queue.due = [queue.due, due].into_iter().flatten().min();
            if queue.events.is_empty() && queue.due.is_none() {
                table.rooms.remove(&room);
            }
        }
        drop(table);
        self.changed.notify_one();
    }

    fn count(&self, table: &Table) {
        #[expect(clippy::cast_precision_loss, reason = "it is far below 2^52")]
        metrics::gauge!("rookery_federation_staged_events").set(table.events as f64);
        self.waiting.send_replace(table.events);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one less.
fn take_one(counts: &mut HashMap<OwnedServerName, usize>, server: &ServerName) {
    if let Some(count) = counts.get_mut(server) {
        *count -= 1;
        if *count == 0 {
            counts.remove(server);
        }
    }
}

/// The right to work on a room. When it ends, even by a panic, the room is free again.
pub(super) struct Turn {
    staging: Arc<Staging>,
    pub(super) room: RoomRow,
    payer: Option<OwnedServerName>,
    then: Then,
}

/// What comes after a turn.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// All was done that could be.
    Nothing,
    /// Time was up before all was tried: the next turn, behind the rooms that have waited for longer.
    GoOn,
    /// What was tried is tried again after a pause.
    Later,
}

impl Turn {
    /// Without this the room is tried again after a pause.
    pub(super) fn end_with(mut self, then: Then) {
        self.then = then;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.staging.end(self.room, self.payer.as_ref(), self.then);
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    fn id(n: usize) -> OwnedEventId {
        format!("$event{n}").try_into().unwrap()
    }

    #[test]
    fn a_room_an_origin_and_all_together_have_limits() {
        let staging = Staging::default();
        let (mallory, alice) = (server_name!("mallory"), server_name!("alice"));
        let admitted = |room: i64, origin: &ServerName, from: usize| {
            let ids = (from..from + ROOM_EVENTS_MAX + 10).map(id);
            let admitted = ids.filter(|id| staging.add(RoomRow(room), origin, id.clone()));
            admitted.count()
        };
        assert_eq!(admitted(1, mallory, 0), ROOM_EVENTS_MAX);
        assert_eq!(
            admitted(1, mallory, 0),
            ROOM_EVENTS_MAX,
            "those wait already"
        );
        let rooms = (2..10).map(|room| admitted(room, mallory, 0));
        assert_eq!(rooms.sum::<usize>(), ORIGIN_EVENTS_MAX - ROOM_EVENTS_MAX);
        assert_eq!(admitted(20, alice, 0), ROOM_EVENTS_MAX, "others go on");
        let first: Vec<_> = (0..10).map(id).collect();
        staging.remove(RoomRow(1), &first);
        staging.remove(RoomRow(1), &first);
        assert_eq!(
            *staging.waiting().borrow(),
            ORIGIN_EVENTS_MAX + ROOM_EVENTS_MAX - 10
        );
        assert!(staging.add(RoomRow(1), mallory, id(1_000_000)));
    }

    #[test]
    fn a_room_is_worked_on_once_at_a_time_and_again_after_a_pause() {
        let staging = Arc::new(Staging::default());
        staging.add(RoomRow(1), server_name!("there"), id(1));
        assert!(staging.next().is_none(), "nothing is due yet");
        staging.wake(RoomRow(1));
        let turn = staging.next().unwrap();
        staging.wake(RoomRow(1));
        assert!(staging.next().is_none(), "it is busy");
        drop(turn);
        drop(staging.next().unwrap());
        assert!(staging.next().is_none(), "left for later");
        assert!(staging.next_due().is_some());
        staging.wake(RoomRow(1));
        staging.next().unwrap().end_with(Then::GoOn);
        let again = staging.next().expect("what was not tried is not put off");
        again.end_with(Then::Nothing);
        assert_eq!(staging.next_due(), None);
    }

    #[test]
    fn the_room_that_waits_for_longest_comes_first() {
        let staging = Arc::new(Staging::default());
        for room in [3, 1, 2] {
            staging.add(RoomRow(room), server_name!("there"), id(1));
            staging.wake(RoomRow(room));
        }
        // What comes later changes nothing about its place.
        staging.wake(RoomRow(3));
        let turns: Vec<Turn> = std::iter::from_fn(|| staging.next()).collect();
        let order: Vec<i64> = turns.iter().map(|turn| turn.room.0).collect();
        assert_eq!(order, [3, 1, 2]);
    }

    #[test]
    fn a_server_keeps_only_some_turns_from_others() {
        let staging = Arc::new(Staging::default());
        let (mallory, alice) = (server_name!("mallory"), server_name!("alice"));
        for room in 0..20 {
            staging.add(RoomRow(room), mallory, id(1));
            staging.wake(RoomRow(room));
        }
        let mut turns: Vec<Turn> = std::iter::from_fn(|| staging.next()).collect();
        assert_eq!(turns.len(), ORIGIN_ROOMS_MAX);
        assert_eq!(staging.next_due(), None, "a turn has to end first");
        for room in [19, 20] {
            staging.add(RoomRow(room), alice, id(2));
            staging.wake(RoomRow(room));
        }
        let theirs: Vec<Turn> = std::iter::from_fn(|| staging.next()).collect();
        assert_eq!(theirs.len(), 2, "also where mallory's wait as well");
        turns.pop();
        assert!(staging.next().is_some());
    }

    #[test]
    fn whoever_has_most_events_in_a_room_pays_for_it() {
        for most in ["aaron", "mallory"] {
            let staging = Arc::new(Staging::default());
            let origins = ["aaron", "mallory"].map(|name| ServerName::parse(name).unwrap());
            let mut n = 0;
            for origin in &origins {
                for _ in 0..if origin == most { 5 } else { 1 } {
                    n += 1;
                    staging.add(RoomRow(1), origin, id(n));
                }
            }
            staging.wake(RoomRow(1));
            let turn = staging.next().unwrap();
            assert_eq!(turn.payer.as_ref().unwrap(), most);
        }
    }

    #[test]
    fn what_was_left_for_later_is_counted() {
        let staging = Staging::default();
        let room = RoomRow(1);
        for n in [1, 2] {
            staging.add(room, server_name!("there"), id(n));
        }
        staging.tried(room, &id(1));
        staging.tried(room, &id(1));
        assert_eq!(staging.tries(room), HashMap::from([(id(1), 2)]));
        staging.remove(room, &[id(1)]);
        assert_eq!(staging.tries(room), HashMap::new());
    }
}
