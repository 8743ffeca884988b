//! What other servers may ask of this one: server-server API. Who asks has been proven by their signature.

mod directory;
mod edu;
mod invite;
mod membership;
mod read;
pub(crate) mod receive;
mod rescind;
mod staged;
pub(crate) mod staging;

use ruma::{OwnedServerName, RoomId, ServerName};
use spec::{acl::ServerAcl, json::Object};
use storage::members;

pub use self::membership::{SentMembership, Signed};
use crate::{
    Error, Result, Subject,
    rooms::{RoomHandle, Rooms},
};

/// What other servers may ask. Cheap to clone.
#[derive(Clone)]
pub struct Inbound {
    pub(crate) rooms: Rooms,
}

impl Inbound {
    pub(crate) fn new(rooms: Rooms) -> Self {
        Self { rooms }
    }

    /// A room that both servers are in, and that does not lock `origin` out.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server is not in such a room. [`Error::Forbidden`]: `origin` is not, or may not be.
    async fn shared_room(&self, origin: &ServerName, room: &RoomId) -> Result<RoomHandle> {
        let room = self.resident_room(origin, room).await?;
        if !members::is_server_joined(self.rooms.context.store.reader(), room.meta.row, origin)
            .await?
        {
            return Err(Error::Forbidden(format!("{origin} is not in this room")));
        }
        Ok(room)
    }

    /// A room that this server is in, and that does not lock `origin` out.
    pub(crate) async fn resident_room(
        &self,
        origin: &ServerName,
        room: &RoomId,
    ) -> Result<RoomHandle> {
        let room = self.rooms.by_id(room).await?;
        let own = &self.rooms.context.server_name;
        if !members::is_server_joined(self.rooms.context.store.reader(), room.meta.row, own).await?
        {
            return Err(Error::NotFound(Subject::Room));
        }
        room.check_acl(origin).await?;
        Ok(room)
    }
}

impl RoomHandle {
    /// Whether the room's access list lets a server take part: "Server Access Control Lists (ACLs) for rooms".
    ///
    /// # Errors
    /// [`Error::Forbidden`]: it does not.
    pub(crate) async fn check_acl(&self, server: &ServerName) -> Result<()> {
        let Some(key) = self.state_key("m.room.server_acl", "").await? else {
            return Ok(());
        };
        let state = self.current_state().await?;
        let Some(row) = state.get(&key) else {
            return Ok(());
        };
        let known = self.context.events.get(&self.context.metas, *row).await?;
        if ServerAcl::parse(known.event.content()).allows(server.as_str()) {
            return Ok(());
        }
        Err(Error::Forbidden(format!(
            "{server} is denied by the access list of the room"
        )))
    }

    /// The servers with joined users, in alphabetical order.
    pub(crate) async fn servers(&self) -> Result<Vec<OwnedServerName>> {
        let servers = members::servers(self.context.store.reader(), self.meta.row).await?;
        Ok(servers
            .into_iter()
            .filter_map(|server| ServerName::parse(server).ok())
            .collect())
    }
}

/// Events as they travel.
fn objects<'a>(events: impl IntoIterator<Item = &'a spec::event::Event>) -> Vec<Object> {
    events
        .into_iter()
        .map(|event| event.with_unsigned(None).object().clone())
        .collect()
}
