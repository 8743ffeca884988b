//! What the clients of sliding sync have been sent: MSC4186, "Connections".
//!
//! A connection is in one of two *generations*: the one that the client has used last, and the one that came with the
//! last answer, which may have been lost. A token (`pos`) names the generation and a place in the log; what was sent of a
//! room is mostly "all up to that place", so that a generation is new only when a room is sent for the first time, falls
//! out of the windows with news, or is wanted in another way. Then what has changed is written down ([`stored`]), and a
//! restart loses nothing.

mod stored;

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::{Weighter, sync::Cache};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use storage::{Plain, Position, RoomRow, StateKeyRow, Store, Write, sliding_connections};
use tokio::sync::Notify;

use self::stored::Configs;
use super::ask::RoomConfig;
use crate::{Clock, Error, Requester, Result, chance::Chance, sync::token::SyncToken};

/// How many rooms the connections in memory may have together: at some 200 bytes each, 200 MiB at most.
const ROOMS_MAX: u64 = 1_000_000;
/// How many connections a device may have. The one that was quiet for longest is forgotten for a new one.
const CONNECTIONS_MAX: usize = 16;

/// How long a connection is kept whose device is not seen, in ms: 30 days. Its client has to begin anew.
const IDLE_MS: i64 = 30 * 24 * 3_600_000;

/// A place in a connection: `p<connection>.<generation>.<position>.<ephemeral>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pos {
    number: i64,
    generation: u64,
    pub(crate) token: SyncToken,
}

impl std::fmt::Display for Pos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SyncToken {
            position,
            ephemeral,
        } = self.token;
        let Self {
            number, generation, ..
        } = self;
        write!(f, "p{number}.{generation}.{position}.{ephemeral}")
    }
}

impl FromStr for Pos {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut parts = text.strip_prefix('p')?.split('.');
            let pos = Self {
                number: parts.next()?.parse().ok()?,
                generation: parts.next()?.parse().ok()?,
                token: SyncToken {
                    position: Position(parts.next()?.parse().ok()?),
                    ephemeral: parts.next()?.parse().ok()?,
                },
            };
            parts.next().is_none().then_some(pos)
        };
        parse().ok_or(Error::UnknownPos)
    }
}

/// As what a room was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Shown {
    /// As one that the user is in.
    Joined,
    /// As one that the user was in.
    Left,
    /// By stripped state only.
    Outside,
}

/// What was sent of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentRoom {
    pub(super) shown: Shown,
    /// Up to where it was sent; `None`: up to the place of the token.
    pub(super) upto: Option<Position>,
    /// How it was wanted.
    pub(super) config: Arc<RoomConfig>,
    /// From here on the client has all events without a gap.
    pub(super) start: Position,
    /// Whether it was called a direct chat.
    pub(super) is_dm: bool,
    /// The members that were sent because the timeline needed them.
    pub(super) members: imbl::OrdSet<StateKeyRow>,
}

/// What was sent: by room.
pub(super) type Sent = imbl::OrdMap<RoomRow, SentRoom>;

/// A connection that a request has come on.
pub(super) struct Opened {
    turn: Turn,
    number: i64,
    generation: u64,
    /// The number of the generation that this request may issue: no answer ever had it.
    next: u64,
    configs: Configs,
    /// What the client has.
    pub(super) sent: Sent,
    /// Where it is; `None` at the beginning.
    pub(super) from: Option<SyncToken>,
}

/// A connection's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    user_id: OwnedUserId,
    device_id: String,
    conn_id: String,
}

#[derive(Clone)]
struct Generation {
    number: u64,
    sent: Sent,
}

struct Connection {
    number: i64,
    /// How its rooms are wanted, as far as that is stored.
    configs: Configs,
    /// The number of the next generation.
    next: u64,
    /// The newest generation that the client is known to have.
    used: Generation,
    /// The one of the last answer, if it is another.
    issued: Option<Generation>,
}

/// The requests that are on their way, the last one of each connection: MSC4186 has one at a time, and one that comes after
/// another is sent because the client has given that up.
#[derive(Default)]
struct Turns(Mutex<HashMap<Name, Arc<Notify>>>);

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's turn on its connection: over when the next one comes.
struct Turn {
    name: Name,
    turns: Arc<Turns>,
    over: Arc<Notify>,
}

impl Turn {
    /// Ends the turn of the request before, if that is still on its way.
    fn begin(turns: &Arc<Turns>, name: Name) -> Self {
        let over = Arc::<Notify>::default();
        let before = turns.lock().insert(name.clone(), Arc::clone(&over));
        if let Some(before) = before {
            before.notify_one();
        }
        Self {
            name,
            turns: Arc::clone(turns),
            over,
        }
    }

    fn is_over(&self, turns: &HashMap<Name, Arc<Notify>>) -> bool {
        let last = turns.get(&self.name);
        !last.is_some_and(|last| Arc::ptr_eq(last, &self.over))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        if !self.is_over(&turns) {
            turns.remove(&self.name);
        }
    }
}

impl Opened {
    /// Returns when a later request has come on the connection.
    pub(super) async fn superseded(&self) {
        self.turn.over.notified().await;
    }

    /// The token with which the request came; `None` at the beginning.
    pub(super) fn pos(&self) -> Option<String> {
        let pos = Pos {
            number: self.number,
            generation: self.generation,
            token: self.from?,
        };
        Some(pos.to_string())
    }
}

/// All connections: in memory those that were used lately, the others in the store.
pub(crate) struct Connections {
    store: Store,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    cache: Cache<Name, Arc<Connection>, ByRooms>,
    turns: Arc<Turns>,
}

#[derive(Clone)]
struct ByRooms;

impl Weighter<Name, Arc<Connection>> for ByRooms {
    fn weight(&self, _: &Name, connection: &Arc<Connection>) -> u64 {
        // What is issued shares nearly all of its rooms with what is used.
        connection.used.sent.len() as u64 + 4
    }
}

impl Connections {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, chance: Arc<Chance>) -> Self {
        Self {
            store,
            clock,
            chance,
            cache: Cache::with_weighter(4_096, ROOMS_MAX, ByRooms),
            turns: Arc::default(),
        }
    }

    /// Whether a request is on its way.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        !self.turns.lock().is_empty()
    }

    /// The connection that a request comes on: a new one without `pos`, which ends the old one of that name. A request
    /// that is still on its way there is over.
    ///
    /// # Errors
    /// [`Error::UnknownPos`]: there is no such place; the client has to begin anew.
    pub(super) async fn open(
        &self,
        by: &Requester,
        conn_id: &str,
        pos: Option<&str>,
    ) -> Result<Opened> {
        let name = Name {
            user_id: by.user_id.clone(),
            device_id: by.device().to_owned(),
            conn_id: conn_id.to_owned(),
        };
        let Some(pos) = pos else {
            self.make_room(&name).await?;
            return Ok(Opened {
                turn: Turn::begin(&self.turns, name),
                // Positive, so that tokens have one minus sign less.
                number: i64::from_le_bytes(self.chance.bytes()) >> 8 & i64::MAX >> 8,
                generation: 0,
                next: 1,
                configs: Configs::default(),
                sent: Sent::new(),
                from: None,
            });
        };
        let pos: Pos = pos.parse()?;
        let read = match self.cache.get(&name) {
            Some(_) => None,
            None => Some(self.read(&name).await?),
        };
        let turn = Turn::begin(&self.turns, name);
        // From here on nobody else issues anything.
        let connection = match (self.cache.get(&turn.name), read) {
            (Some(connection), _) => connection,
            (None, Some(read)) => {
                self.cache.insert(turn.name.clone(), Arc::clone(&read));
                read
            }
            (None, None) => return Err(Error::UnknownPos),
        };
        if connection.number != pos.number {
            return Err(Error::UnknownPos);
        }
        let issued = connection.issued.as_ref();
        let is_issued = |generation: &&Generation| generation.number == pos.generation;
        let sent = if let Some(issued) = issued.filter(is_issued) {
            // Now that the client has it, nobody goes back to what was before.
            let connection = Connection {
                number: connection.number,
                configs: connection.configs.clone(),
                next: connection.next,
                used: issued.clone(),
                issued: None,
            };
            self.cache.insert(turn.name.clone(), Arc::new(connection));
            issued.sent.clone()
        } else if is_issued(&&connection.used) {
            connection.used.sent.clone()
        } else {
            return Err(Error::UnknownPos);
        };
        Ok(Opened {
            turn,
            number: pos.number,
            generation: pos.generation,
            next: connection.next,
            configs: connection.configs.clone(),
            sent,
            from: Some(pos.token),
        })
    }

    /// The token of an answer after which the client has `sent` and is at `token`; `None` if a later request has come, and
    /// what this one would answer is of no use.
    pub(super) async fn issue(
        &self,
        opened: &Opened,
        sent: Sent,
        token: SyncToken,
    ) -> Result<Option<String>> {
        let is_new = opened.from.is_none();
        let is_issued = is_new || !sent.ptr_eq(&opened.sent);
        let kept = match is_issued {
            true => Some(self.kept(opened, sent)?),
            false => None,
        };
        let written = {
            let turns = self.turns.lock();
            if opened.turn.is_over(&turns) {
                return Ok(None);
            }
            kept.map(|(connection, write)| {
                self.cache.insert(opened.turn.name.clone(), connection);
                self.store.enqueue(write)
            })
        };
        // What is new is waited for, so that the connections of a device can be counted. What a crash loses of the others
        // costs the client a new beginning.
        if is_new && let Some(written) = written {
            written.await?;
        }
        let pos = Pos {
            number: opened.number,
            generation: if is_issued {
                opened.next
            } else {
                opened.generation
            },
            token,
        };
        Ok(Some(pos.to_string()))
    }

    /// What is kept of the connection after an answer with which the client has `sent`, in memory and in the store.
    fn kept(&self, opened: &Opened, sent: Sent) -> Result<(Arc<Connection>, Write)> {
        let (configs, answered) = stored::answered(opened, &sent, self.clock.now_ms())?;
        let issued = Generation {
            number: opened.next,
            sent,
        };
        let (used, issued) = match opened.from {
            None => (issued, None),
            Some(_) => {
                let used = Generation {
                    number: opened.generation,
                    sent: opened.sent.clone(),
                };
                (used, Some(issued))
            }
        };
        let connection = Connection {
            number: opened.number,
            configs,
            next: opened.next + 1,
            used,
            issued,
        };
        let write = Write::plain(vec![Plain::SlidingConnection(answered)]);
        Ok((Arc::new(connection), write))
    }

    /// Forgets the connections that nobody has used for long.
    pub(crate) async fn expire(&self) -> Result<()> {
        let before_ts = self.clock.now_ms().saturating_sub(IDLE_MS);
        let expired = Plain::SlidingConnectionsExpired { before_ts };
        self.store.write(Write::plain(vec![expired])).await?;
        Ok(())
    }

    /// Forgets the connections of a device that are too many for one more.
    async fn make_room(&self, name: &Name) -> Result<()> {
        let db = self.store.reader();
        let mut names = sliding_connections::of_device(db, &name.user_id, &name.device_id).await?;
        names.retain(|conn_id| *conn_id != name.conn_id);
        let forgotten: Vec<Plain> = names
            .into_iter()
            .skip(CONNECTIONS_MAX - 1)
            .map(|conn_id| {
                let name = Name {
                    conn_id,
                    ..name.clone()
                };
                self.cache.remove(&name);
                Plain::SlidingConnectionDelete {
                    user_id: name.user_id,
                    device_id: name.device_id,
                    conn_id: name.conn_id,
                }
            })
            .collect();
        if !forgotten.is_empty() {
            self.store.write(Write::plain(forgotten)).await?;
        }
        Ok(())
    }

    async fn read(&self, name: &Name) -> Result<Arc<Connection>> {
        let db = self.store.reader();
        let Name {
            user_id,
            device_id,
            conn_id,
        } = name;
        let found = sliding_connections::find(db, user_id, device_id, conn_id).await?;
        let found = found.ok_or(Error::UnknownPos)?;
        let rooms = sliding_connections::rooms(db, found.number).await?;
        Ok(Arc::new(stored::read(&found, &rooms)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_round_trip_and_garbage_is_unknown() {
        let pos = Pos {
            number: 7,
            generation: 3,
            token: SyncToken {
                position: Position(42),
                ephemeral: 9,
            },
        };
        assert_eq!(pos.to_string(), "p7.3.42.9");
        assert_eq!("p7.3.42.9".parse::<Pos>().expect("ours"), pos);
        for garbage in [
            "",
            "p",
            "p1.2.3",
            "p1.2.3.4.5",
            "s1_2",
            "p1.-2.3.4",
            "7.3.42.9",
        ] {
            assert!(
                matches!(garbage.parse::<Pos>(), Err(Error::UnknownPos)),
                "{garbage}"
            );
        }
    }
}
