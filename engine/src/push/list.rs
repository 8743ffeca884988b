//! What has notified a user: client-server API, "Listing notifications".

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ruma::{OwnedRoomId, events::AnySyncTimelineEvent, push::Action, serde::Raw};
use spec::auth::Membership;
use storage::{
    EventRow, Limit, Position, RoomRow,
    notifications::{self, Notification as Row, Which},
};

use super::reading::Readings;
use crate::{
    Engine, Error, Requester, Result,
    events::Placed,
    read::{
        access::Access,
        view::{Seen, View},
    },
    render::Shape,
};

/// How many notifications a page has if the client does not say.
const PAGE_DEFAULT: u64 = 30;
/// How many it may have.
const PAGE_MAX: u64 = 200;
/// How often rows are read for one page, some of which the user does not see. A page may be short for that, and the next
/// one goes on from there.
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
    pub event: Raw<AnySyncTimelineEvent>,
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
        let wanted = ask.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let position = self.context.notifier.position();
        self.context.scored(position).await?;
        self.context.written_down().await?;
        let db = self.context.store.reader();
        let read = Readings::of(&self.context.store, &by.user_id).await?;
        let which = match ask.only_highlights {
            true => Which::Highlights,
            false => Which::All,
        };
        let mut page = NotificationsPage::default();
        for _ in 0..TRIES_MAX {
            let limit = Limit::new(wanted - page.notifications.len() as u64);
            let rows = notifications::before(db, &by.user_id, which, before, limit);
            let mut rows = rows.await?;
            rows.sort_by_key(|row| std::cmp::Reverse(row.position));
            // What comes after these of one kind may come before more of the other.
            rows.truncate(usize::try_from(limit.get()).unwrap_or(usize::MAX));
            let Some(last) = rows.last() else {
                return Ok(page);
            };
            before = last.position;
            let is_full = rows.len() as u64 == limit.get();
            let unreadable = self.context.metas.unreadable().await?;
            rows.retain(|row| !unreadable.contains(&row.room));
            let shown = self.shown_to(by, &rows, ask, &read).await?;
            page.notifications.extend(shown);
            if !is_full {
                return Ok(page);
            }
            if page.notifications.len() as u64 == wanted {
                break;
            }
        }
        page.next = Some(before.get().to_string());
        Ok(page)
    }

    /// What the user may see of these, and wants to. A few queries, and some for each room.
    async fn shown_to(
        &self,
        by: &Requester,
        rows: &[Row],
        ask: &NotificationsAsk,
        read: &Readings,
    ) -> Result<Vec<Notification>> {
        let context = &self.context;
        let events: Vec<EventRow> = rows.iter().map(|row| row.event).collect();
        let events = context.events.find_many(&context.metas, &events).await?;
        let known: HashMap<EventRow, _> =
            events.into_iter().map(|known| (known.row, known)).collect();
        let mut by_room: BTreeMap<RoomRow, Vec<Placed>> = BTreeMap::new();
        let mut wanted = Vec::new();
        for row in rows {
            let actions: Vec<Action> = serde_json::from_str(&row.actions)
                .map_err(|error| Error::Internal(format!("push actions: {error}")))?;
            let stands_out = actions.iter().any(Action::is_highlight);
            let Some(known) = known.get(&row.event) else {
                continue;
            };
            if known.event.sender() == by.user_id || ask.only_highlights && !stands_out {
                continue;
            }
            let placed = Placed::news(row.position, Arc::clone(known));
            by_room.entry(row.room).or_default().push(placed);
            wanted.push((row, actions));
        }
        let mut seen = HashMap::new();
        for (room, placed) in by_room {
            seen.extend(self.seen_in(by, room, placed).await?);
        }
        let shown = wanted.into_iter().filter_map(|(row, actions)| {
            let (room_id, ts, event) = seen.remove(&row.event)?;
            Some(Notification {
                room_id,
                event,
                actions,
                read: read.has_read(row),
                ts,
            })
        });
        Ok(shown.collect())
    }

    /// Those of the events of a room that the user may see, by event, with the room and when they were sent. Of a room that
    /// the user is not in, that is the invite.
    async fn seen_in(
        &self,
        by: &Requester,
        room: RoomRow,
        placed: Vec<Placed>,
    ) -> Result<Vec<(EventRow, (OwnedRoomId, i64, Raw<AnySyncTimelineEvent>))>> {
        let room = self.rooms().by_row(room).await?;
        let (invites, placed) = placed
            .into_iter()
            .partition(|placed| placed.event.is("m.room.member", by.user_id.as_str()));
        let mut seen: Vec<Seen> = Vec::new();
        let access = match room.access(by).await {
            Ok(access) => access,
            Err(Error::Forbidden(_)) => Access::Peeking,
            Err(error) => return Err(error),
        };
        let mut view = View::new(&room, by, access).await?;
        seen.extend(view.filter(placed).await?);
        let invite = |placed: Placed| Seen {
            membership: Membership::of(Some(&placed.event)),
            placed,
            replaced: None,
        };
        let invites: Vec<Placed> = invites;
        seen.extend(invites.into_iter().map(invite));
        let events = view.render_all(&seen, Shape::Whole).await?;
        let found = seen.iter().zip(events).map(|(seen, event)| {
            let ts = seen.placed.event.origin_server_ts();
            (seen.placed.row, (room.meta.id.clone(), ts, event))
        });
        Ok(found.collect())
    }
}
