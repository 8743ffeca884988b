//! The version of a room that this server has only heard of.

use spec::room_version::RoomVersion;
use storage::{Plain, Write, rooms};

use crate::{
    Result,
    rooms::{RoomHandle, Rooms},
};

impl Rooms {
    /// The room under this version, which whoever knows better says it has: an invite or a knock came with the word of one
    /// server. `None` if it is known by its own events to have another. What was kept of it stays readable.
    ///
    /// Only for whoever has the room's turn ([`crate::remote::Handshakes`]), so that nobody enters it meanwhile.
    pub(crate) async fn in_version(
        &self,
        room: RoomHandle,
        version: &'static RoomVersion,
    ) -> Result<Option<RoomHandle>> {
        // Somebody else may have found out since.
        let known = self.by_row(room.meta.row).await?;
        if known.meta.version == version {
            return Ok(Some(known));
        }
        let row = room.meta.row;
        let stored = rooms::by_row(self.context.store.reader(), row).await?;
        if stored.is_some_and(|stored| stored.snapshot.is_some()) {
            return Ok(None);
        }
        let id = version.id();
        tracing::info!(room = %room.meta.id, was = known.meta.version.id(), version = id, "another room version");
        let plain = Plain::RoomVersion {
            room: row,
            version: id.to_owned(),
        };
        self.context.store.write(Write::plain(vec![plain])).await?;
        self.context.metas.forget(row);
        self.dismiss(row);
        self.by_row(row).await.map(Some)
    }
}
