//! What follows a room that is replaced: client-server API, "Room Upgrades".
//!
//! What a user has set for the old room is brought to the new one when they join it, wherever it was made: this is the first
//! moment at which that can be of use to them.

use std::sync::Arc;

use ruma::{OwnedRoomId, RoomId, UserId};
use spec::json::{Object, Value};
use storage::{Plain, Write, aliases, members};

use crate::{Engine, Error, Requester, Result, Upgrade, room_meta::RoomMeta, rooms::RoomHandle};

impl Engine {
    /// Replaces a room by a new one of another version, with all that belongs to it but its members; returns the id of the
    /// new room when all is on disk.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such room. [`Error::UnsupportedRoomVersion`]. [`Error::Denied`]: the user may not send the
    /// tombstone. [`Error::InvalidRoomState`]: the new version cannot hold what is to be copied. [`Error::Refused`]:
    /// somebody else has just replaced it.
    pub async fn upgrade_room(
        &self,
        by: &Requester,
        room: &RoomId,
        ask: Upgrade,
    ) -> Result<OwnedRoomId> {
        let new = self.room(room).await?.upgrade(by, ask).await?;
        self.follow_upgrade(&by.user_id, &new).await;
        Ok(new)
    }

    /// Brings what a user has set for a room that was replaced to the new one, which they have joined. It may run twice.
    /// Nobody is kept out of a room by its failure.
    pub(crate) async fn follow_upgrade(&self, user: &UserId, new: &RoomId) {
        if let Err(error) = self.follow(user, new).await {
            tracing::warn!(%user, room = %new, error = &error as &dyn std::error::Error, "tags did not follow an upgrade");
        }
    }

    async fn follow(&self, user: &UserId, new: &RoomId) -> Result<()> {
        let new = self.room(new).await?;
        let Some(old) = new.predecessor().await? else {
            return Ok(());
        };
        let db = self.context.store.reader();
        if members::one(db, old.meta.row, user).await?.is_none() {
            return Ok(());
        }
        let (from, to) = (&old.meta, &new.meta);
        self.accounts()
            .carry_over(user, (from.row, &from.id), (to.row, &to.id))
            .await?;
        self.move_aliases(&old, &new.meta).await
    }

    /// Has the aliases of this server follow a room that was replaced by users of another. Its own word is not enough: else
    /// anybody could have the aliases of any room.
    async fn move_aliases(&self, old: &RoomHandle, new: &Arc<RoomMeta>) -> Result<()> {
        let db = self.context.store.reader();
        if aliases::of_room(db, old.meta.row).await?.is_empty() {
            return Ok(());
        }
        let tombstone = old.current_content("m.room.tombstone").await?;
        let replacement = tombstone
            .as_ref()
            .and_then(|content| content.get("replacement_room"));
        if replacement.and_then(Value::as_str) != Some(new.id.as_str()) {
            return Ok(());
        }
        let moved = Plain::AliasesMoved {
            from: old.meta.row,
            to: new.row,
        };
        self.context.store.write(Write::plain(vec![moved])).await?;
        Ok(())
    }
}

impl RoomHandle {
    /// The room that this one replaces by its own word, if this server knows it.
    async fn predecessor(&self) -> Result<Option<RoomHandle>> {
        let create = self.current_content("m.room.create").await?;
        let predecessor = create.as_ref().and_then(|create| create.get("predecessor"));
        let id = predecessor.and_then(|predecessor| predecessor.as_object()?.get("room_id"));
        let id = id.and_then(|id| RoomId::parse(id.as_str()?).ok());
        let Some(id) = id else { return Ok(None) };
        match self.rooms.by_id(&id).await {
            Ok(room) => Ok(Some(room)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The content of a current state event with an empty key.
    async fn current_content(&self, event_type: &str) -> Result<Option<Object>> {
        let Some(key) = self.state_key(event_type, "").await? else {
            return Ok(None);
        };
        let Some(row) = self.current_state().await?.get(&key).copied() else {
            return Ok(None);
        };
        let known = self.context.events.get(&self.context.metas, row).await?;
        Ok(Some(known.event.content().clone()))
    }
}
