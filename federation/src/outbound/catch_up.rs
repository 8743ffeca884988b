//! What a server has missed, read from the store in bounded pages: all of it, if that is not too much, else the newest
//! events of each room, from which it finds the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use storage::{
    EventRow, Limit, Position, RoomRow, events, events::StoredEvent, members, outbox, receipts,
    rooms, write::Outcome,
};

use super::{
    Inner, Result,
    destination::Destination,
    dispatch::is_outgoing,
    edus::Receipt,
    pdu::{Pdu, removed_from, server_of},
};

/// How many outgoing events are looked at in one step.
const PAGE: u64 = 500;

/// How many rooms in one step, where only the newest events of each are sent.
const ROOMS_PAGE: usize = 50;

/// Events with their places in the queue.
type Page = Vec<(Position, Arc<Pdu>)>;

impl Destination {
    /// Fills the queue with the next page of what came after `after`.
    pub(super) async fn catch_up(&self, inner: &Inner, after: Position) -> Result<()> {
        let to = inner.store.position();
        let only_newest = match self.with(|queue| queue.only_newest) {
            Some(known) => known,
            None => self.missed_much(inner, after, to).await?,
        };
        let (page, reached) = if only_newest {
            self.newest(inner, after, to).await?
        } else {
            self.all(inner, after, to).await?
        };
        self.with(|queue| {
            queue.only_newest = Some(only_newest);
            queue.refill(page, reached, reached == to);
        });
        Ok(())
    }

    /// Fills the queue with the next page of receipts of our users after `after`: the newest of each user, room and thread,
    /// which is all that is stored.
    pub(super) async fn catch_up_receipts(&self, inner: &Inner, after: Position) -> Result<()> {
        let db = inner.store.reader();
        let to = inner.store.position();
        let mut page = receipts::page_after(db, after, Limit::new(PAGE)).await?;
        let is_all = (page.len() as u64) < PAGE;
        let reached = page.last().map_or(to, |last| last.position);
        let joined = members::rooms_of_server(db, &self.server).await?;
        let joined: BTreeSet<RoomRow> = joined.into_iter().collect();
        page.retain(|read| joined.contains(&read.room) && is_outgoing(read, &inner.own));
        let in_rooms: BTreeSet<RoomRow> = page.iter().map(|read| read.room).collect();
        let in_rooms: Vec<RoomRow> = in_rooms.into_iter().collect();
        let room_ids: BTreeMap<RoomRow, String> = rooms::by_rows(db, &in_rooms)
            .await?
            .into_iter()
            .map(|room| (room.id, room.room_id))
            .collect();
        let waiting = page.into_iter().filter_map(|read| {
            let room_id = room_ids.get(&read.room)?.clone();
            let receipt = Receipt {
                event_id: read.event_id,
                ts: read.ts,
                position: read.position,
            };
            Some(((room_id, read.user_id, read.thread_id), receipt))
        });
        let reached = if is_all { to.max(reached) } else { reached };
        self.with(|queue| queue.refill_receipts(waiting, reached, is_all));
        Ok(())
    }

    /// Whether there is more than what is all sent.
    async fn missed_much(&self, inner: &Inner, after: Position, to: Position) -> Result<bool> {
        let rooms = self.rooms(inner, after).await?;
        let outgoing = outbox::outgoing_rooms(inner.store.reader(), after, to).await?;
        let theirs = outgoing.iter().filter(|of| rooms.contains(&of.room));
        Ok(theirs.map(|of| of.count).sum::<i64>() > inner.catch_up_max)
    }

    /// The rooms that the server is in, or was until after `after`.
    async fn rooms(&self, inner: &Inner, after: Position) -> Result<BTreeSet<RoomRow>> {
        let db = inner.store.reader();
        let mut rooms: BTreeSet<RoomRow> = members::rooms_of_server(db, &self.server)
            .await?
            .into_iter()
            .collect();
        let left = members::removals_of_server(db, &self.server, after).await?;
        rooms.extend(left.into_iter().map(|(room, _)| room));
        Ok(rooms)
    }

    /// One page of all events for the server.
    async fn all(&self, inner: &Inner, after: Position, to: Position) -> Result<(Page, Position)> {
        let db = inner.store.reader();
        let outgoing = outbox::outgoing_events(db, after, to, Limit::new(PAGE)).await?;
        let reached = match outgoing.last() {
            Some(last) if outgoing.len() as u64 >= PAGE => last.outgoing,
            _ => to,
        };
        let (mut rows, mut removals) = (Vec::new(), BTreeSet::new());
        for event in &outgoing {
            let is_own = server_of(&event.sender).as_ref() == Some(&self.server);
            if is_own && event.event_type != "m.room.member" {
                continue;
            }
            let audience = inner.engine.servers_at(event.room, event.current).await?;
            if audience.contains(&self.server) {
                rows.push(event.id);
            } else if event.event_type == "m.room.member" {
                rows.push(event.id);
                removals.insert(event.id);
            }
        }
        let stored = events::by_rows(db, &rows).await?;
        let page = stored.iter().filter_map(|event| {
            let (place, pdu) = (event.outgoing?, Pdu::stored(event)?);
            let is_for_it = !removals.contains(&event.id)
                || removed_from(&pdu.object).as_ref() == Some(&self.server);
            let has_it = pdu.origin().as_ref() == Some(&self.server);
            (is_for_it && !has_it).then_some((place, pdu))
        });
        Ok((page.collect(), reached))
    }

    /// The forward extremities of one page of the rooms in which something is new, and what removed the server from rooms.
    async fn newest(
        &self,
        inner: &Inner,
        after: Position,
        to: Position,
    ) -> Result<(Page, Position)> {
        let db = inner.store.reader();
        let theirs = self.rooms(inner, after).await?;
        let mut news = outbox::outgoing_rooms(db, after, to).await?;
        news.retain(|of| theirs.contains(&of.room));
        news.sort_unstable_by_key(|of| of.last);
        let is_last = news.len() <= ROOMS_PAGE;
        news.truncate(ROOMS_PAGE);
        let reached = match news.last() {
            Some(last) if !is_last => last.last,
            _ => to,
        };
        let page: Vec<RoomRow> = news.iter().map(|of| of.room).collect();
        let left = members::removals_of_server(db, &self.server, after).await?;
        let mut rows: Vec<EventRow> = left
            .into_iter()
            .filter(|(room, _)| page.contains(room))
            .map(|(_, event)| event)
            .collect();
        let joined = members::rooms_of_server(db, &self.server).await?;
        for room in rooms::by_rows(db, &page).await? {
            if joined.contains(&room.id) {
                rows.extend(room.extremities()?);
            }
        }
        let stored = events::by_rows(db, &rows).await?;
        let wanted = stored.iter().filter(|event| {
            event.outcome == Outcome::Accepted
                && server_of(&event.sender).as_ref() != Some(&self.server)
        });
        let placed = |event: &StoredEvent| Some((event.position?, Pdu::stored(event)?));
        Ok((wanted.filter_map(placed).collect(), reached))
    }
}
