//! How far the log has been followed, and what that has changed lately.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::sync::Cache;
use ruma::{OwnedEventId, OwnedUserId, UserId};
use storage::{Listener, Logged, Plain, Position, RoomRow, Write, notifications};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{personal::Personal, unread::Tally, unwritten::Unwritten};
use crate::{Engine, Result, context::Context};

/// How many entries of the log may wait to be followed in memory; older ones are read from the store. As many as the
/// notifier keeps, which shares them.
const WAITING_MAX: usize = 8_192;

/// How many changes are remembered: some 200 bytes each.
const RECENT_MAX: usize = 8_192;

/// How many entries are followed before what they change is written.
const BATCH_MAX: usize = 256;

/// For how many pairs of user and room the counts are remembered: some 200 bytes each.
const TALLIES_MAX: usize = 50_000;

/// How many events may be awaited that somebody has read already: some 100 bytes each.
const AWAITED_MAX: usize = 10_000;

/// After how many entries it is written down how far the log has been followed, though nothing came of them.
const FLOOR_EVERY: i64 = 1_000;

/// What an entry of the log changes for the counts of users.
#[derive(Debug)]
pub(super) enum Change {
    /// An event that notifies, or that a user of this server sent.
    Event {
        room: RoomRow,
        /// The sender, if of this server: they have read so far.
        own: Option<OwnedUserId>,
        thread: String,
        /// Notifications and highlights for everybody.
        all: (i64, i64),
        /// How that differs for some.
        some: BTreeMap<OwnedUserId, (i64, i64)>,
    },
    /// A user has read; an empty thread stands for all.
    Read {
        room: RoomRow,
        user: OwnedUserId,
        thread: String,
        up_to: Position,
    },
    /// A user has come or gone: nothing is unread.
    Moved { room: RoomRow, user: OwnedUserId },
    /// The event at this place notifies nobody any more.
    Withdrawn { room: RoomRow, at: Position },
}

impl Change {
    pub(super) fn room(&self) -> RoomRow {
        match self {
            Self::Event { room, .. }
            | Self::Read { room, .. }
            | Self::Moved { room, .. }
            | Self::Withdrawn { room, .. } => *room,
        }
    }
}

/// The entries of the log that nobody has followed yet.
#[derive(Default)]
pub(crate) struct Queue {
    entries: Mutex<VecDeque<(Position, Arc<Logged>)>>,
    more: Notify,
}

impl Listener for Queue {
    fn committed(&self, changes: &[(Position, Arc<Logged>)]) {
        let mut entries = lock(&self.entries);
        entries.extend(changes.iter().cloned());
        let excess = entries.len().saturating_sub(WAITING_MAX);
        entries.drain(..excess);
        drop(entries);
        self.more.notify_one();
    }
}

impl Queue {
    /// Up to where the log is committed, as far as there is something to follow. The store's own position may lag behind
    /// what its listeners have heard of.
    fn end(&self) -> Option<Position> {
        lock(&self.entries).back().map(|(position, _)| *position)
    }

    /// The entries right behind `at`, as many as are in memory, at most [`BATCH_MAX`]; and the position of the first one
    /// there is, if it is a later one. What lies before is forgotten.
    fn behind(&self, at: Position) -> (Vec<(Position, Arc<Logged>)>, Option<Position>) {
        let mut entries = lock(&self.entries);
        while entries.front().is_some_and(|(position, _)| *position <= at) {
            entries.pop_front();
        }
        let first = entries.front().map(|(position, _)| *position);
        let expected = at.get() + 1;
        let next = (expected..).zip(entries.iter());
        let next = next.take_while(|(expected, (position, _))| position.get() == *expected);
        let next = next.take(BATCH_MAX).map(|(_, entry)| entry.clone());
        (next.collect(), first)
    }
}

/// What the log has done to the counts of users.
pub(crate) struct Scores {
    pub(crate) queue: Arc<Queue>,
    pub(super) personal: Personal,
    pub(super) tallies: Cache<(OwnedUserId, RoomRow), Arc<Tally>>,
    /// How many notifications a room has got since old ones were last looked for.
    pub(super) grown: Mutex<HashMap<RoomRow, u64>>,
    /// Events that users of this server have read, as they say, and that are not here yet. What is forgotten of them is unread
    /// when it comes, until the next receipt.
    pub(super) awaited: Cache<OwnedEventId, ()>,
    recent: Mutex<Recent>,
    unwritten: Mutex<Unwritten>,
    /// Held by whoever follows the log: up to where it has been followed; `None` before anybody has.
    work: tokio::sync::Mutex<Option<Position>>,
}

/// The changes after `start`, up to `last`.
struct Recent {
    start: Position,
    last: Position,
    changes: VecDeque<(Position, Arc<Change>)>,
    /// The last position that was, or is to be, written down.
    written: Position,
}

impl Default for Scores {
    fn default() -> Self {
        Self {
            queue: Arc::default(),
            personal: Personal::default(),
            tallies: Cache::new(TALLIES_MAX),
            grown: Mutex::default(),
            awaited: Cache::new(AWAITED_MAX),
            recent: Mutex::new(Recent {
                start: Position::MIN,
                last: Position::MIN,
                changes: VecDeque::new(),
                written: Position::MIN,
            }),
            unwritten: Mutex::default(),
            work: tokio::sync::Mutex::new(None),
        }
    }
}

/// Changes with their positions, oldest first.
pub(super) type Changes = Vec<(Position, Arc<Change>)>;

/// What following a part of the log comes to.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) notifications: Vec<notifications::Notification>,
    pub(super) plain: Vec<Plain>,
    pub(super) changes: Changes,
}

impl Scores {
    /// Up to where the log has been followed.
    pub(super) fn last(&self) -> Position {
        lock(&self.recent).last
    }

    /// What changed in `room` after `since`, and up to where; `None` if the memory does not reach back so far.
    pub(super) fn since(&self, room: RoomRow, since: Position) -> Option<(Position, Changes)> {
        let recent = lock(&self.recent);
        if since < recent.start {
            return None;
        }
        let first = recent
            .changes
            .partition_point(|(position, _)| *position <= since);
        let changes = recent.changes.range(first..);
        let changes = changes.filter(|(_, change)| change.room() == room);
        Some((recent.last, changes.cloned().collect()))
    }

    fn publish(&self, at: Position, changes: Changes) {
        let mut recent = lock(&self.recent);
        recent.last = at;
        recent.changes.extend(changes);
        while recent.changes.len() > RECENT_MAX {
            if let Some((position, _)) = recent.changes.pop_front() {
                recent.start = position;
            }
        }
    }
}

impl Context {
    /// Returns once the log has been followed up to `to`; does it, unless somebody else does. `to` must be committed.
    /// Dropping the future loses nothing.
    pub(crate) async fn scored(&self, to: Position) -> Result<()> {
        if self.scores.last() >= to {
            return Ok(());
        }
        let mut work = self.scores.work.lock().await;
        let mut at = match *work {
            Some(at) => at,
            None => {
                self.await_again().await?;
                let floor = notifications::floor(self.store.reader()).await?;
                let floor = floor.unwrap_or(Position::ZERO);
                let mut recent = lock(&self.scores.recent);
                (recent.start, recent.last) = (floor, floor);
                (recent.written, *work) = (floor, Some(floor));
                floor
            }
        };
        while at < to {
            let (entries, first) = self.scores.queue.behind(at);
            let (reached, followed) = match entries.last() {
                Some((last, _)) => (*last, self.follow(&entries).await),
                None => {
                    let end = first.map_or(to, |first| to.min(Position(first.get() - 1)));
                    self.follow_stored(at, end).await?
                }
            };
            // From here on nothing waits: it is done as a whole, or not at all.
            self.note_followed(reached, followed);
            at = reached;
            *work = Some(at);
        }
        Ok(())
    }

    /// Tells those who count what was followed, and has it written soon.
    fn note_followed(&self, reached: Position, followed: Followed) {
        let Followed {
            notifications,
            plain,
            changes,
        } = followed;
        let mut recent = lock(&self.scores.recent);
        let due = reached.get().saturating_sub(recent.written.get()) >= FLOOR_EVERY;
        if due || !plain.is_empty() || !notifications.is_empty() {
            recent.written = reached;
            let mut unwritten = lock(&self.scores.unwritten);
            unwritten.add(reached, plain, notifications);
            let is_full = unwritten.is_full();
            drop(unwritten);
            if is_full {
                // Nobody waits for it.
                drop(self.write_followed());
            }
        }
        drop(recent);
        // In this order: who is woken looks up to where the log has been followed.
        self.scores.publish(reached, changes.clone());
        self.deliveries.note(changes);
    }

    /// Returns once all that was followed is in the store. One write.
    pub(super) async fn written_down(&self) -> Result<()> {
        match self.write_followed() {
            Some(written) => drop(written.await?),
            // What was handed over before may still be on its way: come behind it.
            None => drop(self.store.write(Write::default()).await?),
        }
        Ok(())
    }

    /// Hands over what was followed, if anything was, in the order of the calls. What is lost in a crash is followed again
    /// from the stored log.
    fn write_followed(
        &self,
    ) -> Option<impl Future<Output = storage::Result<storage::Committed>> + Send + use<>> {
        let mut unwritten = lock(&self.scores.unwritten);
        let plain = unwritten.take();
        (!plain.is_empty()).then(|| self.store.enqueue(Write::plain(plain)))
    }
}

impl Engine {
    /// Follows the log for notifications. Never returns; to be run in the background.
    pub async fn run_push(&self) {
        loop {
            let due = lock(&self.context.scores.unwritten).due();
            tokio::select! {
                () = self.context.scores.queue.more.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(written) = self.context.write_followed()
                        && let Err(error) = written.await
                    {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "notifications are lost: they cannot be written");
                    }
                    continue;
                }
            }
            let Some(to) = self.context.scores.queue.end() else {
                continue;
            };
            if let Err(error) = self.context.scored(to).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot find out what notifies whom");
            }
        }
    }
}

/// Whether a user is one of this server's.
pub(super) fn is_local(context: &Context, user: &UserId) -> bool {
    user.server_name() == context.server_name
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use storage::write::NewAccountData;

    use super::*;

    #[test]
    fn what_was_committed_is_known_until_it_was_followed() {
        let queue = Queue::default();
        assert_eq!(queue.end(), None);
        let entry = Arc::new(Logged::AccountData(NewAccountData {
            user_id: ruma::user_id!("@alice:house").to_owned(),
            room: None,
            event_type: "m.direct".to_owned(),
            content: "{}".to_owned(),
        }));
        queue.committed(&[(Position(3), entry.clone()), (Position(4), entry)]);
        assert_eq!(queue.end(), Some(Position(4)));
        assert_eq!(queue.behind(Position(3)).0.len(), 1);
        queue.behind(Position(4));
        assert_eq!(queue.end(), None);
    }
}
