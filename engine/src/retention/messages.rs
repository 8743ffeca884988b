//! Deleting messages that have had their time.

use std::collections::{BTreeMap, BTreeSet};

use ruma::EventId;
use storage::{
    EventRow, Limit, Plain, RoomRow, events,
    events::StoredEvent,
    purges::{self, FIRST, OnlyOwn, Sent},
    redactions, rooms,
};

use crate::{
    Engine, Result,
    room::{Pending, Room},
    rooms::RoomHandle,
};

/// How many rooms are looked at in one go.
const ROOMS_PAGE: u64 = 256;
/// How many messages of a room one write deletes.
const STEP: u64 = 256;

/// One step through the messages of a room that have had their time.
struct Step {
    /// What is deleted.
    gone: Vec<EventRow>,
    pending: Pending,
    /// Where the next step begins; `None`: this was the last one.
    next: Option<Sent>,
}

impl Engine {
    /// Deletes the messages that have had their time. It may be stopped at any time, and goes on where it was with the next
    /// call.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn expire_messages(&self) -> Result<()> {
        let settings = &self.context.retention;
        if !settings.messages {
            return Ok(());
        }
        let only_own = match settings.default_ms {
            Some(_) => OnlyOwn::No,
            None => OnlyOwn::Yes,
        };
        let mut after = RoomRow(i64::MIN);
        loop {
            let db = self.context.store.reader();
            let page = purges::rooms_after(db, after, only_own, Limit::new(ROOMS_PAGE)).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (room, own) in page {
                if let Some(lifetime) = settings.lifetime_ms(own) {
                    let before = self.context.clock.now_ms().saturating_sub(lifetime);
                    self.expire(room, before).await?;
                }
            }
        }
    }

    /// Deletes the messages that say themselves that they were to go by now: MSC2228. It may be stopped at any time.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn expire_self_destructing(&self) -> Result<()> {
        if !self.context.retention.messages {
            return Ok(());
        }
        let now = self.context.clock.now_ms();
        let mut after = FIRST;
        loop {
            let db = self.context.store.reader();
            let page = purges::self_destructing(db, now, after, Limit::new(STEP)).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = (last.due_ts, last.event);
            let mut by_room: BTreeMap<RoomRow, Vec<EventRow>> = BTreeMap::new();
            for due in page {
                by_room.entry(due.room).or_default().push(due.event);
            }
            let unreadable = self.context.metas.unreadable().await?;
            by_room.retain(|room, _| !unreadable.contains(room));
            let rows: Vec<RoomRow> = by_room.keys().copied().collect();
            for stored in rooms::by_rows(db, &rows).await? {
                let last = stored.extremities()?;
                let mut due = by_room.remove(&stored.id).unwrap_or_default();
                due.retain(|event| !last.contains(event));
                if due.is_empty() {
                    // The room need not be woken for that.
                    continue;
                }
                let room = self.rooms().by_row(stored.id).await?;
                let step = room
                    .run(move |room| Box::pin(async move { room.delete(&due).await }))
                    .await?;
                step.pending.wait().await?;
                self.context.events.forget(&step.gone);
            }
        }
    }

    async fn expire(&self, room: RoomRow, before_ts: i64) -> Result<()> {
        let db = self.context.store.reader();
        let page = purges::expired(db, room, before_ts, FIRST, Limit::new(STEP)).await?;
        if page.is_empty() {
            return Ok(());
        }
        let Some(stored) = rooms::by_row(db, room).await? else {
            return Ok(());
        };
        let last = stored.extremities()?;
        if page.iter().all(|event| last.contains(&event.id)) {
            // The room need not be woken for that.
            return Ok(());
        }
        let room = self.rooms().by_row(room).await?;
        let mut after = FIRST;
        loop {
            let step = room.expire(before_ts, after).await?;
            step.pending.wait().await?;
            self.context.events.forget(&step.gone);
            match step.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

impl RoomHandle {
    async fn expire(&self, before_ts: i64, after: Sent) -> Result<Step> {
        self.run(move |room| Box::pin(async move { room.expire(before_ts, after).await }))
            .await
    }
}

impl Room {
    async fn expire(&mut self, before_ts: i64, after: Sent) -> Result<Step> {
        let db = self.context.store.reader();
        let page = purges::expired(db, self.meta.row, before_ts, after, Limit::new(STEP)).await?;
        let full = page.len() as u64 == STEP;
        let next = page.last().filter(|_| full);
        let next = next.map(|event| (event.origin_server_ts, event.id));
        self.delete_page(&page, next).await
    }

    /// Deletes those of these events that nothing needs.
    async fn delete(&mut self, rows: &[EventRow]) -> Result<Step> {
        let page = events::by_rows(self.context.store.reader(), rows).await?;
        self.delete_page(&page, None).await
    }

    async fn delete_page(&mut self, page: &[StoredEvent], next: Option<Sent>) -> Result<Step> {
        let gone = self.dispensable(page).await?;
        self.forget_events(&gone);
        if !gone.is_empty() {
            self.also(Plain::EventsDeleted {
                room: self.meta.row,
                events: gone.clone(),
            });
        }
        Ok(Step {
            gone,
            pending: self.commit().await,
            next,
        })
    }

    /// Those of these events that nothing needs: not what the next event builds upon, and no redaction of what stays.
    async fn dispensable(&self, page: &[StoredEvent]) -> Result<Vec<EventRow>> {
        let last = self.extremity_rows();
        let (mut gone, mut redactions) = (BTreeSet::new(), BTreeMap::new());
        for event in page.iter().filter(|event| !last.contains(&event.id)) {
            let target = match event.event_type.as_str() {
                "m.room.redaction" => event
                    .parse(self.meta.version)?
                    .redacts()
                    .map(EventId::to_owned),
                _ => None,
            };
            match target {
                Some(target) => drop(redactions.insert(event.id, target)),
                None => drop(gone.insert(event.id)),
            }
        }
        let db = self.context.store.reader();
        let targets: Vec<&EventId> = redactions.values().map(AsRef::as_ref).collect();
        let stored = events::rows_by_ids(db, &targets).await?;
        let stay: BTreeSet<&str> = stored
            .iter()
            .filter(|(_, row)| !gone.contains(row))
            .map(|(id, _)| id.as_str())
            .collect();
        let rows: Vec<EventRow> = redactions.keys().copied().collect();
        // Those wait for their events.
        let pending = redactions::pending_among(db, &rows).await?;
        let done = redactions
            .iter()
            .filter(|(row, target)| !pending.contains(row) && !stay.contains(target.as_str()));
        let done: Vec<EventRow> = done.map(|(row, _)| *row).collect();
        gone.extend(done);
        Ok(gone.into_iter().collect())
    }
}
