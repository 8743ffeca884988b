//! What the clients of sliding sync have been sent: MSC4186, "Connections".
//!
//! A connection is in one of two *generations*: the one that the client has used last, and the one that came with the
//! last answer, which may have been lost. A token (`pos`) names the generation and a place in the log; what was sent of a
//! room is mostly "all up to that place", so that a generation is new only when a room is sent for the first time, falls
//! out of the windows with news, or is wanted in another way. Then it is written down, and a restart loses nothing.

use std::{str::FromStr, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use storage::{
    Plain, Position, RoomRow, StateKeyRow, Store, Write,
    sliding_connections::{self, StoredConnection},
};

use super::ask::RoomConfig;
use crate::{Clock, Error, Requester, Result, chance::Chance, sync::token::SyncToken};

/// How many rooms the connections in memory may have together: at some 200 bytes each, 200 MiB at most.
const ROOMS_MAX: u64 = 1_000_000;
/// How many connections a device may have. The one that was quiet for longest is forgotten for a new one.
const CONNECTIONS_MAX: usize = 16;

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
    name: Name,
    number: i64,
    generation: u64,
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
    /// The newest generation that the client is known to have.
    used: Generation,
    /// The one of the last answer, if it is another.
    issued: Option<Generation>,
}

/// All connections: in memory those that were used lately, the others in the store.
pub(crate) struct Connections {
    store: Store,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    cache: Cache<Name, Arc<Connection>, ByRooms>,
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
        }
    }

    /// The connection that a request comes on: a new one without `pos`, which ends the old one of that name.
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
                name,
                // Positive, so that tokens have one minus sign less.
                number: i64::from_le_bytes(self.chance.bytes()) >> 8 & i64::MAX >> 8,
                generation: 0,
                sent: Sent::new(),
                from: None,
            });
        };
        let pos: Pos = pos.parse()?;
        let connection = match self.cache.get(&name) {
            Some(connection) => connection,
            None => self.read(&name).await?,
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
                used: issued.clone(),
                issued: None,
            };
            self.cache.insert(name.clone(), Arc::new(connection));
            issued.sent.clone()
        } else if is_issued(&&connection.used) {
            connection.used.sent.clone()
        } else {
            return Err(Error::UnknownPos);
        };
        Ok(Opened {
            name,
            number: pos.number,
            generation: pos.generation,
            sent,
            from: Some(pos.token),
        })
    }

    /// The token of an answer after which the client has `sent` and is at `token`.
    pub(super) async fn issue(
        &self,
        opened: &Opened,
        sent: Sent,
        token: SyncToken,
    ) -> Result<String> {
        let is_new = opened.from.is_none();
        let mut generation = opened.generation;
        if is_new || !sent.ptr_eq(&opened.sent) {
            generation += 1;
            let issued = Generation {
                number: generation,
                sent,
            };
            let connection = if is_new {
                Connection {
                    number: opened.number,
                    used: issued,
                    issued: None,
                }
            } else {
                Connection {
                    number: opened.number,
                    used: Generation {
                        number: opened.generation,
                        sent: opened.sent.clone(),
                    },
                    issued: Some(issued),
                }
            };
            let stored = self.to_store(&opened.name, &connection)?;
            let written = self
                .store
                .enqueue(Write::plain(vec![Plain::SlidingConnection(stored)]));
            if is_new {
                // So that the connections of a device can be counted.
                written.await?;
            } else {
                // Nobody waits for it: what a crash loses here costs the client a new beginning.
                drop(written);
            }
            self.cache.insert(opened.name.clone(), Arc::new(connection));
        }
        let pos = Pos {
            number: opened.number,
            generation,
            token,
        };
        Ok(pos.to_string())
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
        let stored = sliding_connections::find(db, user_id, device_id, conn_id).await?;
        let stored = stored.ok_or(Error::UnknownPos)?;
        let connection = Arc::new(from_store(&stored)?);
        self.cache.insert(name.clone(), connection.clone());
        Ok(connection)
    }

    fn to_store(&self, name: &Name, connection: &Connection) -> Result<StoredConnection> {
        let mut written = Written::default();
        written.add(&connection.used);
        if let Some(issued) = &connection.issued {
            written.add(issued);
        }
        let state = serde_json::to_string(&written)
            .map_err(|error| Error::Internal(format!("a sliding connection: {error}")))?;
        Ok(StoredConnection {
            user_id: name.user_id.to_string(),
            device_id: name.device_id.clone(),
            conn_id: name.conn_id.clone(),
            number: connection.number,
            state,
            written_ts: self.clock.now_ms(),
        })
    }
}

/// A connection as it is stored.
#[derive(Default, Serialize, Deserialize)]
struct Written {
    /// What rooms are wanted like; they are few.
    configs: Vec<RoomConfig>,
    /// One or two, the older first.
    generations: Vec<(u64, Vec<WrittenRoom>)>,
}

#[derive(Serialize, Deserialize)]
struct WrittenRoom(
    RoomRow,
    Shown,
    Option<Position>,
    /// In the list of configurations.
    usize,
    Position,
    bool,
    Vec<StateKeyRow>,
);

impl Written {
    fn add(&mut self, generation: &Generation) {
        let rooms = generation.sent.iter().map(|(row, sent)| {
            let known = self.configs.iter().position(|known| *known == *sent.config);
            let config = known.unwrap_or_else(|| {
                self.configs.push((*sent.config).clone());
                self.configs.len() - 1
            });
            let members = sent.members.iter().copied().collect();
            WrittenRoom(
                *row, sent.shown, sent.upto, config, sent.start, sent.is_dm, members,
            )
        });
        let rooms = rooms.collect();
        self.generations.push((generation.number, rooms));
    }
}

fn from_store(stored: &StoredConnection) -> Result<Connection> {
    let written: Written = serde_json::from_str(&stored.state).map_err(|_| Error::UnknownPos)?;
    let configs: Vec<Arc<RoomConfig>> = written.configs.into_iter().map(Arc::new).collect();
    let mut generations = written.generations.into_iter().map(|(number, rooms)| {
        let rooms = rooms.into_iter().map(
            |WrittenRoom(row, shown, upto, config, start, is_dm, members)| {
                let sent = SentRoom {
                    shown,
                    upto,
                    config: configs.get(config)?.clone(),
                    start,
                    is_dm,
                    members: members.into_iter().collect(),
                };
                Some((row, sent))
            },
        );
        let sent = rooms.collect::<Option<Sent>>()?;
        Some(Generation { number, sent })
    });
    let mut next = || generations.next().flatten();
    Ok(Connection {
        number: stored.number,
        used: next().ok_or(Error::UnknownPos)?,
        issued: next(),
    })
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

    #[test]
    fn what_was_sent_is_read_back_as_it_was_written() {
        let room = |limit, upto| SentRoom {
            shown: Shown::Joined,
            upto,
            config: Arc::new(RoomConfig {
                timeline_limit: limit,
                required_state: Vec::new(),
            }),
            start: Position(4),
            is_dm: true,
            members: [StateKeyRow(5), StateKeyRow(2)].into_iter().collect(),
        };
        let rooms: Sent = [
            (RoomRow(1), room(1, None)),
            (RoomRow(2), room(20, Some(Position(3)))),
            (RoomRow(3), room(1, None)),
        ]
        .into_iter()
        .collect();
        let mut written = Written::default();
        written.add(&Generation {
            number: 8,
            sent: rooms.clone(),
        });
        written.add(&Generation {
            number: 9,
            sent: Sent::new(),
        });
        assert_eq!(written.configs.len(), 2);
        let stored = StoredConnection {
            user_id: String::new(),
            device_id: String::new(),
            conn_id: String::new(),
            number: 6,
            state: serde_json::to_string(&written).expect("JSON"),
            written_ts: 0,
        };
        let read = from_store(&stored).expect("ours");
        assert_eq!((read.number, read.used.number), (6, 8));
        assert_eq!(read.used.sent, rooms);
        assert_eq!(read.issued.expect("two").number, 9);
    }
}
