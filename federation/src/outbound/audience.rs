//! Which other servers are in a room.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, OwnedServerName, ServerName, UserId};
use storage::{RoomRow, Store, members, rooms};

/// How many rooms are remembered.
const ROOMS_MAX: usize = 10_000;

/// How long a room is believed to have the same servers, unless a change is heard of.
const BELIEVED: Duration = Duration::from_secs(30);

/// The servers of rooms, remembered until their members change.
pub(super) struct Audiences {
    store: Store,
    own: OwnedServerName,
    rooms: Cache<RoomRow, Arc<Audience>>,
}

/// A room, and who is in it.
pub(super) struct Audience {
    pub(super) room_id: OwnedRoomId,
    /// Without our own.
    pub(super) servers: BTreeSet<OwnedServerName>,
    since: Instant,
}

impl Audiences {
    pub(super) fn new(store: Store, own: OwnedServerName) -> Self {
        Self {
            store,
            own,
            rooms: Cache::new(ROOMS_MAX),
        }
    }

    /// Has a room looked up anew.
    pub(super) fn forget(&self, room: RoomRow) {
        self.rooms.remove(&room);
    }

    /// The servers of a room; `None` if there is no such room.
    pub(super) async fn of(&self, room: RoomRow) -> storage::Result<Option<Arc<Audience>>> {
        if let Some(known) = self.rooms.get(&room)
            && known.since.elapsed() < BELIEVED
        {
            return Ok(Some(known));
        }
        let since = Instant::now();
        let Some(stored) = rooms::by_row(self.store.reader(), room).await? else {
            return Ok(None);
        };
        let Ok(room_id) = OwnedRoomId::try_from(stored.room_id.as_str()) else {
            return Ok(None);
        };
        let joined = members::servers(self.store.reader(), room).await?;
        let servers = joined.into_iter();
        let servers = servers.filter_map(|server| OwnedServerName::try_from(server).ok());
        let audience = Arc::new(Audience {
            room_id,
            servers: servers.filter(|server| *server != self.own).collect(),
            since,
        });
        self.rooms.insert(room, Arc::clone(&audience));
        Ok(Some(audience))
    }
}

/// The server of a user.
pub(super) fn server_of(user: &str) -> Option<OwnedServerName> {
    let user = <&UserId>::try_from(user).ok()?;
    Some(ServerName::to_owned(user.server_name()))
}
