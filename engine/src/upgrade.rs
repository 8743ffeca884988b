//! What follows a room that is replaced: client-server API, "Room Upgrades".
//!
//! What a user has set for the old room is brought to the new one when they join it, wherever it was made: this is the first
//! moment at which that can be of use to them.

use std::sync::Arc;

use ruma::{OwnedRoomId, RoomId, UserId};
use spec::json::{Object, Value};
use storage::{Plain, RoomRow, Write, aliases, members, rooms, summaries};

use crate::{
    Engine, Error, Requester, Result, Upgrade, context::Context, room_meta::RoomMeta,
    rooms::RoomHandle,
};

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
        let (engine, by, room) = (self.clone(), by.clone(), self.room(room).await?);
        // To its end, whether or not the client waits: what follows the tombstone is written after it.
        let work = self.rooms().spawn(async move {
            let new = room.upgrade(&by, ask).await?;
            engine.follow_upgrade(&by.user_id, &new).await;
            Ok(new)
        });
        work.await
            .map_err(|_| Error::Internal("an upgrade stopped".to_owned()))?
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
        self.succeed(&old, &new.meta).await
    }

    /// Has the aliases of this server and its directory follow a room that was replaced by users of another. Its own word
    /// is not enough: else anybody could have the aliases of any room.
    async fn succeed(&self, old: &RoomHandle, new: &Arc<RoomMeta>) -> Result<()> {
        let db = self.context.store.reader();
        let summary = summaries::one(db, old.meta.row).await?;
        let listed = summary.is_some_and(|summary| summary.published || summary.listed_before);
        if !listed && aliases::of_room(db, old.meta.row).await?.is_empty() {
            return Ok(());
        }
        // Whoever has the tombstone written asks for who has joined, and whoever joins for the tombstone: both in the worker
        // of the old room, so that one of them finds the other.
        let id = new.id.clone();
        let replaced = old.run(move |room| {
            Box::pin(async move {
                let tombstone = room.state_event("m.room.tombstone", "").await?;
                let by = tombstone.and_then(|tombstone| replacement(tombstone.event.content()));
                let flushed = room.flushed().await;
                Ok((by == Some(id)).then_some(flushed))
            })
        });
        let Some(flushed) = replaced.await? else {
            return Ok(());
        };
        flushed.wait().await?;
        let succeeded = Plain::RoomSucceeded {
            from: old.meta.row,
            to: new.row,
        };
        self.context
            .store
            .write(Write::plain(vec![succeeded]))
            .await?;
        Ok(())
    }
}

impl RoomHandle {
    /// The room that this one replaces by its own word, if this server knows it.
    async fn predecessor(&self) -> Result<Option<RoomHandle>> {
        let Some(id) = predecessor(&self.context, self.meta.row).await? else {
            return Ok(None);
        };
        match self.rooms.by_id(&id).await {
            Ok(room) => Ok(Some(room)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Context {
    /// The room that takes the place of `old` at once when that gets this tombstone: one that says so itself, and that this
    /// server is in already.
    pub(crate) async fn successor(
        &self,
        old: &RoomId,
        tombstone: &Object,
    ) -> Result<Option<RoomRow>> {
        let Some(id) = replacement(tombstone) else {
            return Ok(None);
        };
        let new = match self.metas.by_id(&id).await {
            Ok(meta) => meta.row,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let db = self.store.reader();
        let is_here = members::is_server_joined(db, new, &self.server_name).await?;
        let says_so = is_here && predecessor(self, new).await?.as_deref() == Some(old);
        Ok(says_so.then_some(new))
    }
}

/// The room by which a tombstone says that its own is replaced.
fn replacement(tombstone: &Object) -> Option<OwnedRoomId> {
    let id = tombstone.get("replacement_room").and_then(Value::as_str)?;
    RoomId::parse(id).ok()
}

/// The room that another one replaces by its own word.
async fn predecessor(context: &Context, room: RoomRow) -> Result<Option<OwnedRoomId>> {
    let create = current_content(context, room, "m.room.create").await?;
    let predecessor = create.as_ref().and_then(|create| create.get("predecessor"));
    let id = predecessor.and_then(|predecessor| predecessor.as_object()?.get("room_id"));
    Ok(id.and_then(|id| RoomId::parse(id.as_str()?).ok()))
}

/// The content of a current state event with an empty key.
async fn current_content(
    context: &Context,
    room: RoomRow,
    event_type: &str,
) -> Result<Option<Object>> {
    let db = context.store.reader();
    let keys = context.store.state_keys().find(&[(event_type, "")]).await?;
    let snapshot = rooms::by_row(db, room)
        .await?
        .and_then(|room| room.snapshot);
    let state = context.states.get(snapshot).await?;
    let row = keys.into_iter().next().flatten();
    let Some(row) = row.and_then(|key| state.get(&key).copied()) else {
        return Ok(None);
    };
    let known = context.events.get(&context.metas, row).await?;
    Ok(Some(known.event.content().clone()))
}
