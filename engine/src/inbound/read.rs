//! What other servers read of a room: server-server API, "Retrieving events", "Backfilling and retrieving missing events".

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName};
use spec::{
    auth::Membership,
    event::Event,
    json::Object,
    visibility::{self, HistoryVisibility},
};
use storage::{EventRow, events, write::Outcome};

use super::{Inbound, objects};
use crate::{Error, Result, Subject, events::KnownEvent, rooms::RoomHandle};

/// How many events one answer may hold.
const EVENTS_MAX: usize = 100;

impl Inbound {
    /// One event; emptied, if the other server may not see its content.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none, or the other server is not in its room.
    pub async fn event(&self, origin: &ServerName, event_id: &EventId) -> Result<Object> {
        let not_found = || Error::NotFound(Subject::Event);
        let context = &self.rooms.context;
        let stored = events::by_id(context.store.reader(), event_id)
            .await?
            .ok_or_else(not_found)?;
        let meta = context.metas.by_row(stored.room).await?;
        let room = self
            .shared_room(origin, &meta.id)
            .await
            .map_err(|_| not_found())?;
        if stored.outcome == Outcome::Rejected {
            return Err(not_found());
        }
        let known = context.events.get(&context.metas, stored.id).await?;
        room.for_server(origin, &known).await
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
        let walked = room
            .walk_back(from, &BTreeSet::new(), limit.min(EVENTS_MAX))
            .await?;
        room.all_for_server(origin, walked).await
    }

    /// Events between `earliest` (exclusive) and `latest` (exclusive), oldest first, at most `limit`.
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
    ) -> Result<Vec<Object>> {
        let room = self.shared_room(origin, room).await?;
        let stop: BTreeSet<OwnedEventId> = earliest.iter().cloned().collect();
        let mut parents = Vec::new();
        for id in latest {
            // One that this server does not have tells nothing.
            if let Ok(known) = room.known(id).await {
                parents.extend(
                    known
                        .event
                        .prev_events()
                        .iter()
                        .filter(|id| !stop.contains(*id))
                        .cloned(),
                );
            }
        }
        let mut walked = room
            .walk_back(&parents, &stop, limit.min(EVENTS_MAX))
            .await?;
        walked.reverse();
        room.all_for_server(origin, walked).await
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

    /// All events that permit `events`, directly or not, without these themselves; oldest first.
    pub(crate) async fn auth_chain(&self, events: &[Arc<Event>]) -> Result<Vec<Arc<Event>>> {
        let mut chain: HashMap<OwnedEventId, Arc<Event>> = HashMap::new();
        let start: BTreeSet<OwnedEventId> =
            events.iter().map(|event| event.id().to_owned()).collect();
        let mut wanted: BTreeSet<OwnedEventId> = events
            .iter()
            .flat_map(|event| event.auth_events())
            .cloned()
            .collect();
        while !wanted.is_empty() {
            let ids: Vec<&EventId> = wanted.iter().map(AsRef::as_ref).collect();
            let rows = events::rows_by_ids(self.context.store.reader(), &ids).await?;
            let rows: Vec<EventRow> = rows.into_iter().map(|(_, row)| row).collect();
            let mut next = BTreeSet::new();
            for known in self
                .context
                .events
                .get_many(&self.context.metas, &rows)
                .await?
            {
                next.extend(known.event.auth_events().iter().cloned());
                chain.insert(known.event.id().to_owned(), known.event.clone());
            }
            wanted = next
                .into_iter()
                .filter(|id| !chain.contains_key(id))
                .collect();
        }
        chain.retain(|id, _| !start.contains(id));
        let mut chain: Vec<Arc<Event>> = chain.into_values().collect();
        chain.sort_by(|a, b| (a.depth(), a.id()).cmp(&(b.depth(), b.id())));
        Ok(chain)
    }

    /// Accepted events from `from` on backwards along their parents, nearest first, without `stop` and what lies behind.
    async fn walk_back(
        &self,
        from: &[OwnedEventId],
        stop: &BTreeSet<OwnedEventId>,
        limit: usize,
    ) -> Result<Vec<Arc<KnownEvent>>> {
        let mut seen: BTreeSet<OwnedEventId> = from.iter().cloned().collect();
        let mut queue: VecDeque<OwnedEventId> = from.iter().cloned().collect();
        let mut walked = Vec::new();
        while let Some(id) = queue.pop_front() {
            if walked.len() == limit {
                break;
            }
            let Ok(known) = self.known(&id).await else {
                continue;
            };
            for parent in known.event.prev_events() {
                if !stop.contains(parent) && seen.insert(parent.clone()) {
                    queue.push_back(parent.clone());
                }
            }
            if known.outcome == Outcome::Accepted {
                walked.push(known);
            }
        }
        walked.sort_by_key(|known| std::cmp::Reverse(known.event.depth()));
        Ok(walked)
    }

    async fn all_for_server(
        &self,
        server: &ServerName,
        events: Vec<Arc<KnownEvent>>,
    ) -> Result<Vec<Object>> {
        let mut objects = Vec::with_capacity(events.len());
        for known in events {
            objects.push(self.for_server(server, &known).await?);
        }
        Ok(objects)
    }

    /// An event as a server may see it: emptied where the history is hidden from all of its users.
    async fn for_server(&self, server: &ServerName, known: &KnownEvent) -> Result<Object> {
        let state = self.context.states.get(known.snapshot).await?;
        let key = self.state_key("m.room.history_visibility", "").await?;
        let visibility = match key.and_then(|key| state.get(&key)) {
            Some(row) => {
                let known = self.context.events.get(&self.context.metas, *row).await?;
                HistoryVisibility::of(Some(&known.event))
            }
            None => HistoryVisibility::of(None),
        };
        let memberships: Vec<Membership> = match visibility {
            HistoryVisibility::WorldReadable | HistoryVisibility::Shared => Vec::new(),
            HistoryVisibility::Invited | HistoryVisibility::Joined => {
                let members = self.members_in(&state).await?;
                let theirs = |known: &Arc<KnownEvent>| {
                    let domain = known.event.state_key()?.split_once(':')?.1;
                    (domain == server).then(|| Membership::of(Some(&known.event)))
                };
                members.iter().filter_map(theirs).collect()
            }
        };
        let event = known.event.with_unsigned(None);
        if visibility::may_see_server(&event, server.as_str(), visibility, memberships) {
            return Ok(event.object().clone());
        }
        Ok(event.redacted(self.meta.version).object().clone())
    }
}
