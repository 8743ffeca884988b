//! What has notified a user: client-server API, "Listing notifications".

use std::collections::{BTreeMap, HashMap};

use ruma::{OwnedRoomId, push::Action, serde::Raw};
use storage::{
    EventRow, Limit, Position,
    notifications::{self, EVERYBODY, Notification as Row},
};

use super::reading::Readings;
use crate::{
    Engine, Error, Requester, Result, events::KnownEvent, read::view::render_for, render::Shape,
};

/// How many notifications a page has if the client does not say.
const PAGE_DEFAULT: u64 = 30;
/// How many it may have.
const PAGE_MAX: u64 = 200;
/// How many rows are read at once while looking for those that concern the user.
const ROWS: u64 = 500;
/// How often rows are read for one page. A page may be short for that, and the next one goes on from there.
const TRIES_MAX: usize = 10;

/// Which notifications are wanted.
#[derive(Clone, Debug, Default)]
pub struct NotificationsAsk {
    /// Where the page before ended.
    pub from: Option<String>,
    /// How many, at most.
    pub limit: Option<u64>,
    /// Only those that stand out.
    pub only_highlights: bool,
}

/// One event that notified the user.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Where.
    pub room_id: OwnedRoomId,
    /// The event as the user may see it.
    pub event: Raw<ruma::events::AnySyncTimelineEvent>,
    /// What the push rule does.
    pub actions: Vec<Action>,
    /// Whether the user has read it.
    pub read: bool,
    /// When it was sent, in ms.
    pub ts: i64,
}

/// Notifications, newest first.
#[derive(Clone, Debug, Default)]
pub struct NotificationsPage {
    /// At most as many as were asked for.
    pub notifications: Vec<Notification>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<String>,
}

impl Engine {
    /// What has notified the user lately: what is still kept of it.
    ///
    /// # Errors
    /// [`Error::InvalidParam`]: `from` is no token of this list.
    pub async fn notifications(
        &self,
        by: &Requester,
        ask: &NotificationsAsk,
    ) -> Result<NotificationsPage> {
        let invalid = || Error::InvalidParam("\"from\" is not one of this server's".to_owned());
        let mut before = match &ask.from {
            Some(from) => Position(from.parse().map_err(|_| invalid())?),
            None => Position::MAX,
        };
        let limit = ask.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let position = self.context.notifier.position();
        self.context.scored(position).await?;
        self.context.store.write(storage::Write::default()).await?;
        let db = self.context.store.reader();
        let read = Readings::of(&self.context.store, &by.user_id).await?;
        let mut page = NotificationsPage::default();
        for _ in 0..TRIES_MAX {
            let rows = notifications::before(db, &by.user_id, before, Limit::new(ROWS)).await?;
            let (rows, reached) = together(rows);
            let known = self.events_of(&rows).await?;
            for (position, rows) in rows.into_iter().rev() {
                before = position;
                let found = self.notification(by, &rows, &read, ask, &known).await?;
                page.notifications.extend(found);
                if page.notifications.len() as u64 == limit {
                    page.next = Some(before.get().to_string());
                    return Ok(page);
                }
            }
            match reached {
                Some(reached) => before = reached,
                None => return Ok(page),
            }
        }
        page.next = Some(before.get().to_string());
        Ok(page)
    }

    async fn events_of(
        &self,
        rows: &BTreeMap<Position, Vec<Row>>,
    ) -> Result<HashMap<EventRow, std::sync::Arc<KnownEvent>>> {
        let rows: Vec<EventRow> = rows
            .values()
            .filter_map(|rows| Some(rows.first()?.event))
            .collect();
        let known = self
            .context
            .events
            .find_many(&self.context.metas, &rows)
            .await?;
        Ok(known.into_iter().map(|known| (known.row, known)).collect())
    }

    /// One notification from its rows; `None` if it is none to this user, or not wanted.
    async fn notification(
        &self,
        by: &Requester,
        rows: &[Row],
        read: &Readings,
        ask: &NotificationsAsk,
        known: &HashMap<EventRow, std::sync::Arc<KnownEvent>>,
    ) -> Result<Option<Notification>> {
        let own = rows.iter().find(|row| row.user_id != EVERYBODY);
        let Some(row) = own.or(rows.first()) else {
            return Ok(None);
        };
        let in_room = read.is_in(row.room, row.position);
        let highlights: i64 = rows.iter().map(|row| row.highlight).sum();
        let wanted = !row.actions.is_empty() && (!ask.only_highlights || highlights > 0);
        if !wanted || (own.is_none() && !in_room) {
            return Ok(None);
        }
        let Some(known) = known.get(&row.event) else {
            return Ok(None);
        };
        if known.event.sender() == by.user_id {
            return Ok(None);
        }
        let room = self.rooms().by_row(row.room).await?;
        let shown_from_ts = room.shown_from_ts().await?;
        if shown_from_ts.is_some_and(|ts| known.event.origin_server_ts() < ts) {
            return Ok(None);
        }
        let broken = |error: serde_json::Error| Error::Internal(format!("push actions: {error}"));
        Ok(Some(Notification {
            room_id: room.meta.id.clone(),
            event: render_for(&room, by, known, None, None, Shape::Whole).await?,
            actions: serde_json::from_str(&row.actions).map_err(broken)?,
            read: read.has_read(row),
            ts: known.event.origin_server_ts(),
        }))
    }
}

/// The rows by event, as far back as all rows of both lists are there; and from where to go on, if there may be more.
fn together(rows: Vec<Row>) -> (BTreeMap<Position, Vec<Row>>, Option<Position>) {
    let (everybody, own): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.user_id == EVERYBODY);
    let end = |rows: &[Row]| {
        let full = rows.len() as u64 == ROWS;
        rows.last().filter(|_| full).map(|row| row.position)
    };
    let reached = end(&everybody).max(end(&own));
    let mut together: BTreeMap<Position, Vec<Row>> = BTreeMap::new();
    for row in everybody.into_iter().chain(own) {
        if reached.is_none_or(|reached| row.position >= reached) {
            together.entry(row.position).or_default().push(row);
        }
    }
    (together, reached)
}
