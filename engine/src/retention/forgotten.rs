//! Deleting rooms that nobody here wants to see any more: client-server API, "Leaving rooms".

use storage::{
    Limit, Plain, RoomRow, Write,
    purges::{self, Purge},
    write::NewSummary,
};

use crate::{Engine, Result, room::Room};

/// How many rooms are looked at in one go.
const ROOMS_PAGE: u64 = 256;

impl Engine {
    /// Deletes the rooms that all users of this server have forgotten long enough ago. It may be stopped at any time, and
    /// goes on where it was with the next call.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn purge_forgotten(&self) -> Result<()> {
        let context = &self.context;
        let kept = context.retention.forgotten_rooms_ms;
        // What has begun is finished in any case.
        let before = kept.map_or(i64::MIN, |kept| context.clock.now_ms().saturating_sub(kept));
        let mut after = RoomRow(i64::MIN);
        loop {
            let db = context.store.reader();
            let page = purges::due(db, before, after, Limit::new(ROOMS_PAGE)).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.room;
            for purge in page {
                self.purge(purge).await?;
            }
        }
    }

    async fn purge(&self, purge: Purge) -> Result<()> {
        let room = purge.room;
        if !purge.going {
            let handle = self.rooms().by_row(room).await?;
            let begun = handle.run(|room| Box::pin(room.begin_purge())).await?;
            if !begun {
                return Ok(());
            }
            tracing::info!(
                room = purge.room_id,
                "deleting a room that all have forgotten"
            );
        }
        let store = &self.context.store;
        while purges::is_left(store.reader(), room).await? {
            store
                .write(Write::plain(vec![Plain::RoomStep { room }]))
                .await?;
        }
        self.context.metas.forget(room);
        self.context.listings.drop_with(room);
        Ok(())
    }
}

impl Room {
    /// Makes the room unknown, unless somebody wants it again; says whether it did. Nothing can be done in it from then on.
    async fn begin_purge(&mut self) -> Result<bool> {
        self.flushed().await.wait().await?;
        let (store, own) = (&self.context.store, &self.context.server_name);
        let room = self.meta.row;
        if purges::is_wanted(store.reader(), room, own).await? {
            store
                .write(Write::plain(vec![Plain::PurgeDropped { room }]))
                .await?;
            return Ok(false);
        }
        let going = vec![
            // Its members elsewhere are found through it no more.
            Plain::Summary(Box::new(NewSummary::blank(room))),
            Plain::RoomPublished {
                room,
                published: false,
            },
            Plain::RoomGoing {
                room,
                server: own.clone(),
            },
        ];
        store.write(Write::plain(going)).await?;
        self.context.metas.forget(room);
        self.end();
        Ok(true)
    }
}
