//! What other servers look up here: server-server API, "Public Room Directory" and "Spaces".

use ruma::{RoomId, ServerName};
use spec::json::Object;

use super::Inbound;
use crate::{
    Result,
    directory::{PublicRooms, PublicRoomsAsk, Reach},
};

impl Inbound {
    /// A page of the public rooms of this server that users of others may be in.
    ///
    /// # Errors
    /// [`crate::Error::InvalidParam`]: the token is not one of this server's.
    pub async fn public_rooms(&self, ask: &PublicRoomsAsk) -> Result<PublicRooms> {
        self.rooms.public_rooms(ask, Reach::Federated).await
    }

    /// A room with its children, as far as users of the other server are in them or could be.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: this server is not in the room, or that server's users could not be.
    pub async fn hierarchy(
        &self,
        origin: &ServerName,
        room: &RoomId,
        suggested_only: bool,
    ) -> Result<Object> {
        self.rooms.told_branch(origin, room, suggested_only).await
    }
}
