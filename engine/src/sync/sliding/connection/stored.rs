//! Connections as they are stored: a row for each room, as it is from one generation on. An answer writes only the rooms that it
//! has changed.

use std::sync::Arc;

use imbl::ordmap::DiffItem;
use serde::{Deserialize, Serialize};
use storage::{
    Position, StateKeyRow,
    sliding_connections::{StoredConnection, StoredRoom},
    write::SlidingAnswered,
};

use super::{Connection, Generation, Opened, Sent, SentRoom, Shown};
use crate::{Error, Result, sync::sliding::ask::RoomConfig};

/// How many ways in which rooms are wanted may come to those that were in use when all was written last. Then all is written
/// anew, without those that are in use no more.
const CONFIGS_MAX: usize = 64;

/// The ways in which rooms are wanted; rooms name them by their place.
#[derive(Clone, Debug, Default)]
pub(super) struct Configs {
    known: Vec<Arc<RoomConfig>>,
    /// How many there were when all was written last.
    live: usize,
}

impl Configs {
    /// The place of a configuration.
    fn place(&mut self, config: &Arc<RoomConfig>) -> usize {
        let known = self
            .known
            .iter()
            .position(|known| Arc::ptr_eq(known, config) || known == config);
        known.unwrap_or_else(|| {
            self.known.push(Arc::clone(config));
            self.known.len() - 1
        })
    }
}

/// A room as it is stored.
#[derive(Serialize, Deserialize)]
struct WrittenRoom(
    Shown,
    Option<Position>,
    /// In the list of configurations.
    usize,
    Position,
    bool,
    Vec<StateKeyRow>,
);

/// What is to be written for an answer with which the client has `sent`.
pub(super) fn answered(
    opened: &Opened,
    sent: &Sent,
    now_ms: i64,
) -> Result<(Configs, SlidingAnswered)> {
    let is_new = opened.from.is_none();
    let whole = is_new || opened.configs.known.len() > opened.configs.live + CONFIGS_MAX;
    let (mut configs, mut rooms) = (opened.configs.clone(), Vec::new());
    if whole {
        configs.known.clear();
        let used = number(opened.generation);
        rooms = changed(
            opened.number,
            used,
            (&Sent::new(), &opened.sent),
            &mut configs,
        )?;
    }
    let next = number(opened.next);
    let differences = (&opened.sent, sent);
    rooms.extend(changed(opened.number, next, differences, &mut configs)?);
    if whole {
        configs.live = configs.known.len();
    }
    let written: Vec<&RoomConfig> = configs.known.iter().map(AsRef::as_ref).collect();
    let name = &opened.turn.name;
    let connection = StoredConnection {
        user_id: name.user_id.to_string(),
        device_id: name.device_id.clone(),
        conn_id: name.conn_id.clone(),
        number: opened.number,
        used: if is_new {
            next
        } else {
            number(opened.generation)
        },
        issued: (!is_new).then_some(next),
        configs: json(&written)?,
        written_ts: now_ms,
    };
    let answered = SlidingAnswered {
        connection,
        rooms,
        whole,
    };
    Ok((configs, answered))
}

/// The rooms that differ, as they are from this generation on.
fn changed(
    connection: i64,
    generation: i64,
    (old, new): (&Sent, &Sent),
    configs: &mut Configs,
) -> Result<Vec<StoredRoom>> {
    let mut rooms = Vec::new();
    for difference in old.diff(new) {
        let (room, sent) = match difference {
            DiffItem::Add(room, sent)
            | DiffItem::Update {
                new: (room, sent), ..
            } => (*room, Some(sent)),
            DiffItem::Remove(room, _) => (*room, None),
        };
        let state = sent.map(|sent| {
            let members = sent.members.iter().copied().collect();
            let config = configs.place(&sent.config);
            json(&WrittenRoom(
                sent.shown, sent.upto, config, sent.start, sent.is_dm, members,
            ))
        });
        rooms.push(StoredRoom {
            number: connection,
            room,
            generation,
            state: state.transpose()?,
        });
    }
    Ok(rooms)
}

/// A connection from what is stored of it: its rooms by room and generation.
///
/// # Errors
/// [`Error::UnknownPos`]: it was stored by a server that wrote otherwise.
pub(super) fn read(stored: &StoredConnection, rooms: &[StoredRoom]) -> Result<Connection> {
    let configs: Vec<RoomConfig> =
        serde_json::from_str(&stored.configs).map_err(|_| Error::UnknownPos)?;
    let configs = Configs {
        known: configs.into_iter().map(Arc::new).collect(),
        // All is written once more after a start.
        live: 0,
    };
    let mut used = Sent::new();
    let in_used = |room: &&StoredRoom| room.generation <= stored.used;
    for room in rooms.iter().filter(in_used) {
        put(&mut used, room, &configs)?;
    }
    let issued = match stored.issued {
        None => None,
        Some(number) => {
            let mut sent = used.clone();
            for room in rooms.iter().filter(|room| !in_used(room)) {
                put(&mut sent, room, &configs)?;
            }
            Some(Generation {
                number: natural(number)?,
                sent,
            })
        }
    };
    let used = Generation {
        number: natural(stored.used)?,
        sent: used,
    };
    let newest = issued.as_ref().unwrap_or(&used);
    Ok(Connection {
        number: stored.number,
        configs,
        next: newest.number + 1,
        used,
        issued,
    })
}

/// Sets a room to what a row says.
fn put(sent: &mut Sent, stored: &StoredRoom, configs: &Configs) -> Result<()> {
    let Some(state) = &stored.state else {
        sent.remove(&stored.room);
        return Ok(());
    };
    let written: WrittenRoom = serde_json::from_str(state).map_err(|_| Error::UnknownPos)?;
    let WrittenRoom(shown, upto, config, start, is_dm, members) = written;
    let room = SentRoom {
        shown,
        upto,
        config: configs.known.get(config).ok_or(Error::UnknownPos)?.clone(),
        start,
        is_dm,
        members: members.into_iter().collect(),
    };
    sent.insert(stored.room, room);
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::Internal(format!("a sliding connection: {error}")))
}

fn number(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}

fn natural(generation: i64) -> Result<u64> {
    u64::try_from(generation).map_err(|_| Error::UnknownPos)
}

#[cfg(test)]
mod tests {
    use storage::RoomRow;

    use super::*;

    fn room(limit: usize, upto: Option<Position>) -> SentRoom {
        SentRoom {
            shown: Shown::Joined,
            upto,
            config: Arc::new(RoomConfig {
                timeline_limit: limit,
                required_state: Vec::new(),
            }),
            start: Position(4),
            is_dm: true,
            members: [StateKeyRow(5), StateKeyRow(2)].into_iter().collect(),
        }
    }

    #[test]
    fn what_was_sent_is_read_back_as_it_was_written() {
        let used: Sent = [
            (RoomRow(1), room(1, None)),
            (RoomRow(2), room(20, Some(Position(3)))),
            (RoomRow(3), room(1, None)),
        ]
        .into_iter()
        .collect();
        let mut issued = used.clone();
        issued.insert(RoomRow(2), room(20, None));
        issued.remove(&RoomRow(3));
        let mut configs = Configs::default();
        let mut rooms = changed(6, 8, (&Sent::new(), &used), &mut configs).expect("JSON");
        assert_eq!((rooms.len(), configs.known.len()), (3, 2));
        let more = changed(6, 9, (&used, &issued), &mut configs).expect("JSON");
        assert_eq!(
            (more.len(), configs.known.len()),
            (2, 2),
            "only what differs"
        );
        rooms.extend(more);
        let written: Vec<&RoomConfig> = configs.known.iter().map(AsRef::as_ref).collect();
        let stored = StoredConnection {
            user_id: String::new(),
            device_id: String::new(),
            conn_id: String::new(),
            number: 6,
            used: 8,
            issued: Some(9),
            configs: json(&written).expect("JSON"),
            written_ts: 0,
        };
        let found = read(&stored, &rooms).expect("ours");
        assert_eq!((found.number, found.used.number, found.next), (6, 8, 10));
        assert_eq!(found.used.sent, used);
        assert_eq!(found.issued.expect("two").sent, issued);
    }
}
