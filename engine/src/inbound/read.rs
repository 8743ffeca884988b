//! What other servers read of a room: server-server API, "Retrieving events", "Backfilling and retrieving missing events".

mod chain;
mod pruned;
mod walk;

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName};
use spec::{event::Event, json::Object};
use storage::{Limit, events, timeline, write::Outcome};

use self::walk::Walk;
use super::{Inbound, objects};
use crate::{Direction, Error, Result, Subject, events::KnownEvent, rooms::RoomHandle};

/// How many events one answer to `/backfill` may hold.
const BACKFILL_MAX: usize = 100;
/// How many events one answer to `/get_missing_events` may hold, as in Synapse.
const MISSING_MAX: usize = 20;

impl Inbound {
    /// One event; emptied, if the other server may not see its content.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none. [`Error::Forbidden`]: the other server is not in its room.
    pub async fn event(&self, origin: &ServerName, event_id: &EventId) -> Result<Object> {
        let not_found = || Error::NotFound(Subject::Event);
        let context = &self.rooms.context;
        let stored = events::by_id(context.store.reader(), event_id).await?;
        let stored = stored
            .filter(|stored| stored.outcome != Outcome::Rejected)
            .ok_or_else(not_found)?;
        let meta = context.metas.by_row(stored.room).await?;
        let room = self.shared_room(origin, &meta.id).await?;
        let known = context.events.known(&context.metas, vec![stored]).await?;
        let mut objects = room.for_server(origin, known).await?;
        objects.pop().ok_or_else(not_found)
    }

    /// The auth chain of an event.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is no such event in the room. [`Error::Forbidden`]: the other server is not in it.
    pub async fn event_auth(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<Vec<Object>> {
        let room = self.shared_room(origin, room).await?;
        let known = room.known(event_id).await?;
        let chain = room.auth_chain(std::slice::from_ref(&known.event)).await?;
        Ok(objects(chain.iter().map(AsRef::as_ref)))
    }

    /// The state before an event, and its auth chain.
    ///
    /// # Errors
    /// As for [`Inbound::event_auth`].
    pub async fn state(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<(Vec<Object>, Vec<Object>)> {
        let room = self.shared_room(origin, room).await?;
        let (state, chain) = room.state_before(event_id).await?;
        let plain = |events: &[Arc<Event>]| objects(events.iter().map(AsRef::as_ref));
        Ok((plain(&state), plain(&chain)))
    }

    /// The same as ids.
    ///
    /// # Errors
    /// As for [`Inbound::event_auth`].
    pub async fn state_ids(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<(Vec<OwnedEventId>, Vec<OwnedEventId>)> {
        let room = self.shared_room(origin, room).await?;
        let (state, chain) = room.state_before(event_id).await?;
        let ids =
            |events: &[Arc<Event>]| events.iter().map(|event| event.id().to_owned()).collect();
        Ok((ids(&state), ids(&chain)))
    }

    /// Events from `from` (inclusive) backwards, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the other server is not in the room.
    pub async fn backfill(
        &self,
        origin: &ServerName,
        room: &RoomId,
        from: &[OwnedEventId],
        limit: usize,
    ) -> Result<Vec<Object>> {
        let room = self.shared_room(origin, room).await?;
        let mut walk = Walk::new(&room, limit.min(BACKFILL_MAX));
        room.for_server(origin, walk.back_from(from).await?).await
    }

    /// Events before `latest`, these excluded, that are not `earliest` and do not lie behind them, nor less deep than
    /// `min_depth`: those with fewest steps to `latest`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the other server is not in the room.
    pub async fn missing_events(
        &self,
        origin: &ServerName,
        room: &RoomId,
        earliest: &[OwnedEventId],
        latest: &[OwnedEventId],
        limit: usize,
        min_depth: i64,
    ) -> Result<Vec<Object>> {
        let room = self.shared_room(origin, room).await?;
        let mut walk = Walk::new(&room, limit.min(MISSING_MAX));
        let between = walk.between(earliest, latest, min_depth).await?;
        room.for_server(origin, between).await
    }

    /// The accepted event whose own time is nearest to `ts`, in ms, in one direction, and that time.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none. [`Error::Forbidden`]: the other server is not in the room.
    pub async fn event_near(
        &self,
        origin: &ServerName,
        room: &RoomId,
        ts: i64,
        direction: Direction,
    ) -> Result<(OwnedEventId, i64)> {
        let room = self.shared_room(origin, room).await?;
        let (db, one) = (room.context.store.reader(), Limit::new(1));
        let nearest = direction.nearest();
        let found = timeline::nearest(db, room.meta.row, ts, nearest, None, one).await?;
        let found = found.first().ok_or(Error::NotFound(Subject::Event))?;
        Ok((found.event_id()?, found.origin_server_ts))
    }

    /// Where an alias of this server leads, and which servers are there.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nowhere.
    pub async fn directory(
        &self,
        alias: &RoomAliasId,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>)> {
        let room = self.rooms.resolve_alias(alias).await?;
        let servers = self.rooms.by_id(&room).await?.servers().await?;
        Ok((room, servers))
    }
}

impl RoomHandle {
    /// An event of this room that was not rejected.
    async fn known(&self, id: &EventId) -> Result<Arc<KnownEvent>> {
        let stored = events::by_id(self.context.store.reader(), id).await?;
        let stored = stored
            .filter(|stored| stored.room == self.meta.row && stored.outcome != Outcome::Rejected)
            .ok_or(Error::NotFound(Subject::Event))?;
        self.context
            .events
            .get(&self.context.metas, stored.id)
            .await
    }

    async fn state_before(&self, id: &EventId) -> Result<(Vec<Arc<Event>>, Vec<Arc<Event>>)> {
        let known = self.known(id).await?;
        if known.outcome == Outcome::Outlier {
            return Err(Error::NotFound(Subject::Event));
        }
        let state = self.context.states.get(known.snapshot).await?;
        self.state_and_chain(&state).await
    }
}
