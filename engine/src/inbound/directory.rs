//! What other servers look up here: server-server API, "Public Room Directory".

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
}
