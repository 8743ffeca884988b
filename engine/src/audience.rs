//! Which servers are in a room: who gets what is sent there.
//!
//! Server-server API, "PDUs": an event goes to the servers that are in the room at the event, not to those that are in
//! it by the time that it is sent.

use std::{collections::BTreeMap, sync::Arc};

use imbl::ordmap::DiffItem;
use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, OwnedServerName, ServerName, UserId};
use storage::{EventRow, RoomRow, SnapshotRow, StateKeyRow, members, rooms};

use crate::{Engine, Error, Result, context::Context, events::KnownEvent};

/// How many rooms are remembered.
const ROOMS_MAX: usize = 10_000;

/// How often a room is read again because it changed meanwhile.
const TRIES_MAX: usize = 5;

/// The servers in a room at one state of it.
#[derive(Clone, Debug)]
pub struct Audience {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// How many joined users each server has; none has zero.
    users: BTreeMap<OwnedServerName, u64>,
    snapshot: Option<SnapshotRow>,
}

impl Audience {
    /// The servers with joined users, in alphabetical order, this one among them if it is.
    pub fn servers(&self) -> impl Iterator<Item = &OwnedServerName> {
        self.users.keys()
    }

    /// How many users are joined.
    pub(crate) fn joined(&self) -> u64 {
        self.users.values().sum()
    }

    /// Whether a server is among them.
    #[must_use]
    pub fn contains(&self, server: &ServerName) -> bool {
        self.users.contains_key(server)
    }

    fn count(&mut self, server: &ServerName, joined: bool) {
        let users = self.users.entry(server.to_owned()).or_default();
        *users = if joined {
            users.saturating_add(1)
        } else {
            users.saturating_sub(1)
        };
        if *users == 0 {
            self.users.remove(server);
        }
    }
}

/// The last audience of each room that was asked for.
pub(crate) struct Audiences(Cache<RoomRow, Arc<Audience>>);

impl Default for Audiences {
    fn default() -> Self {
        Self(Cache::new(ROOMS_MAX))
    }
}

impl Engine {
    /// The servers in a room at a state of it, as an event has it. No query where the room's state was the same the last
    /// time; otherwise the members that differ are looked at.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such room.
    pub async fn servers_at(
        &self,
        room: RoomRow,
        snapshot: Option<SnapshotRow>,
    ) -> Result<Arc<Audience>> {
        self.context.servers_at(room, snapshot).await
    }

    /// The servers in a room as it is now. One query more.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such room.
    pub async fn servers_now(&self, room: RoomRow) -> Result<Arc<Audience>> {
        let stored = rooms::by_row(self.context.store.reader(), room).await?;
        let snapshot = stored.and_then(|stored| stored.snapshot);
        self.context.servers_at(room, snapshot).await
    }
}

impl Context {
    pub(crate) async fn servers_at(
        &self,
        room: RoomRow,
        snapshot: Option<SnapshotRow>,
    ) -> Result<Arc<Audience>> {
        let known = match self.audiences.0.get(&room) {
            Some(known) => known,
            None => Arc::new(self.read_audience(room).await?),
        };
        if known.snapshot == snapshot {
            self.audiences.0.insert(room, known.clone());
            return Ok(known);
        }
        let moved = Arc::new(self.move_audience(&known, snapshot).await?);
        self.audiences.0.insert(room, moved.clone());
        Ok(moved)
    }

    /// The audience of now, from the table of members.
    async fn read_audience(&self, room: RoomRow) -> Result<Audience> {
        let db = self.store.reader();
        let meta = self.metas.by_row(room).await?;
        let snapshot = async || -> Result<Option<SnapshotRow>> {
            Ok(rooms::by_row(db, room)
                .await?
                .and_then(|room| room.snapshot))
        };
        let mut before = snapshot().await?;
        for _ in 0..TRIES_MAX {
            let servers = members::servers_counted(db, room).await?;
            let after = snapshot().await?;
            if before == after {
                let parsed = servers
                    .into_iter()
                    .filter_map(|(server, users)| Some((server.try_into().ok()?, users)));
                return Ok(Audience {
                    room_id: meta.id.clone(),
                    users: parsed.collect(),
                    snapshot: before,
                });
            }
            before = after;
        }
        Err(Error::Internal(format!(
            "the members of {} do not stand still",
            meta.id
        )))
    }

    /// The audience at another state, by what differs.
    async fn move_audience(
        &self,
        from: &Audience,
        snapshot: Option<SnapshotRow>,
    ) -> Result<Audience> {
        let (old, new) = (
            self.states.get(from.snapshot).await?,
            self.states.get(snapshot).await?,
        );
        let differences: Vec<(StateKeyRow, Option<EventRow>, Option<EventRow>)> = old
            .diff(&new)
            .map(|item| match item {
                DiffItem::Add(key, row) => (*key, None, Some(*row)),
                DiffItem::Remove(key, row) => (*key, Some(*row), None),
                DiffItem::Update {
                    old: (key, old),
                    new: (_, new),
                } => (*key, Some(*old), Some(*new)),
            })
            .collect();
        let mut moved = Audience {
            snapshot,
            ..from.clone()
        };
        let keys: Vec<StateKeyRow> = differences.iter().map(|(key, ..)| *key).collect();
        let names = self.store.state_keys().names(&keys).await?;
        let members = names.iter().zip(&differences);
        for ((_, user), (_, old, new)) in members.filter(|((of, _), _)| of == "m.room.member") {
            let Ok(user) = <&UserId>::try_from(user.as_str()) else {
                continue;
            };
            let (was, is) = (self.is_join(*old).await?, self.is_join(*new).await?);
            if was != is {
                moved.count(user.server_name(), is);
            }
        }
        Ok(moved)
    }

    async fn is_join(&self, event: Option<EventRow>) -> Result<bool> {
        let Some(row) = event else {
            return Ok(false);
        };
        let known: Arc<KnownEvent> = self.events.get(&self.metas, row).await?;
        let membership = known.event.content().get("membership");
        Ok(membership.and_then(|value| value.as_str()) == Some("join"))
    }
}
