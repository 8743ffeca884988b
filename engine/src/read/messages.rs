//! Scrolling through a room: client-server API, `GET /rooms/{roomId}/messages`.

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId,
    api::client::filter::RoomEventFilter,
    events::{AnyStateEvent, AnyTimelineEvent},
    serde::Raw,
};
use storage::{EventRow, Limit, Position, events};

use super::view::{Seen, View};
use crate::{
    Requester, Result,
    events::Placed,
    render::Shape,
    rooms::RoomHandle,
    states::StateMap,
    sync::{filter, token::PageToken},
};

/// How many events one answer may hold.
const LIMIT_MAX: usize = 1_000;
/// How many stored pages one request may look through for events that the reader may see and the filter wants.
const PAGES_MAX: usize = 20;

/// Which way to scroll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what is older.
    Backward,
    /// To what is newer.
    Forward,
}

/// Which part of the timeline to read.
#[derive(Clone, Debug)]
pub struct MessagesAsk {
    /// Where to start; by default at the end that lies opposite to the direction.
    pub from: Option<String>,
    /// Where to stop.
    pub to: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// How many events at most.
    pub limit: u16,
    /// Which events.
    pub filter: RoomEventFilter,
}

/// A part of the timeline.
#[derive(Clone, Debug)]
pub struct MessagesPage {
    /// The token at which the part starts.
    pub start: String,
    /// The token at which the next part starts; `None` when there is no more.
    pub end: Option<String>,
    /// The events, in the direction of the request.
    pub chunk: Vec<Raw<AnyTimelineEvent>>,
    /// With lazy loading: the members who sent them.
    pub state: Vec<Raw<AnyStateEvent>>,
}

impl RoomHandle {
    /// One part of the timeline, without what the user may not see. It may be empty and still have an `end`.
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`]: the user may read nothing of the room. [`crate::Error::InvalidParam`]: a token is
    /// not one of this server's.
    pub async fn messages(&self, by: &Requester, ask: MessagesAsk) -> Result<MessagesPage> {
        let access = self.access(by).await?;
        let horizon = access.horizon();
        let parse = |token: &Option<String>| -> Result<Option<Position>> {
            token
                .as_deref()
                .map(|token| Ok(token.parse::<PageToken>()?.0))
                .transpose()
        };
        let newest = self.context.notifier.position().min(horizon);
        let from = match (parse(&ask.from)?, ask.direction) {
            (Some(from), _) => from.min(newest),
            (None, Direction::Backward) => newest,
            (None, Direction::Forward) => Position::MIN,
        };
        let bounds = Bounds {
            to: parse(&ask.to)?,
            horizon,
        };
        let limit = usize::from(ask.limit).min(LIMIT_MAX);
        let mut view = View::new(self, by, access).await?;
        let walked = self.walk(&mut view, from, &ask, bounds, limit).await?;
        let state = if !ask.filter.lazy_load_options.is_disabled() {
            self.senders_of(by, &walked.seen).await?
        } else {
            Vec::new()
        };
        Ok(MessagesPage {
            start: PageToken(from).to_string(),
            end: walked.end.map(|end| PageToken(end).to_string()),
            chunk: view.render_all(&walked.seen, Shape::Whole).await?,
            state,
        })
    }

    /// Collects up to `limit` events that the reader may see and the filter wants.
    async fn walk(
        &self,
        view: &mut View<'_>,
        from: Position,
        ask: &MessagesAsk,
        bounds: Bounds,
        limit: usize,
    ) -> Result<Walked> {
        let mut walked = Walked {
            seen: Vec::new(),
            end: Some(from),
        };
        // One more than is wanted tells whether there is more.
        let page = Limit::from(limit + 1);
        for _ in 0..PAGES_MAX {
            let at = walked.end.unwrap_or(from);
            let stored = self.page(at, ask.direction, page).await?;
            let exhausted = (stored.len() as u64) < page.get();
            let mut stored: Vec<Placed> = stored;
            stored.truncate(limit);
            let inside: Vec<Placed> = stored
                .iter()
                .filter(|placed| bounds.contain(placed.position, ask.direction))
                .cloned()
                .collect();
            let outside = inside.len() < stored.len();
            let wanted = inside
                .into_iter()
                .filter(|placed| filter::allows_event(&ask.filter, &placed.event))
                .collect();
            for seen in view.filter(wanted).await? {
                if walked.seen.len() == limit {
                    return Ok(walked);
                }
                walked.end = Some(beyond(seen.placed.position, ask.direction));
                walked.seen.push(seen);
            }
            if exhausted || outside {
                walked.end = None;
                return Ok(walked);
            }
            if let Some(last) = stored.last() {
                walked.end = Some(beyond(last.position, ask.direction));
            }
            if walked.seen.len() == limit {
                break;
            }
        }
        Ok(walked)
    }

    /// One stored page next to a token.
    async fn page(&self, at: Position, direction: Direction, limit: Limit) -> Result<Vec<Placed>> {
        let db = self.context.store.reader();
        let stored = match direction {
            Direction::Backward => {
                events::page_back(db, self.meta.row, Position::MIN, after(at), limit).await?
            }
            Direction::Forward => {
                events::page_forward(db, self.meta.row, at, Position::MAX, limit).await?
            }
        };
        self.context.events.place(&self.context.metas, stored).await
    }

    /// The members who sent these events, as they are in the current state.
    pub(super) async fn senders_of<T>(&self, by: &Requester, seen: &[Seen]) -> Result<Vec<Raw<T>>> {
        let senders: BTreeSet<OwnedUserId> = seen
            .iter()
            .map(|seen| seen.placed.event.sender().to_owned())
            .collect();
        let rows = self
            .member_rows(&self.current_state().await?, &senders)
            .await?;
        self.render_state(by, &rows).await
    }

    /// The member events of some users in a state.
    pub(crate) async fn member_rows(
        &self,
        state: &StateMap,
        users: &BTreeSet<OwnedUserId>,
    ) -> Result<Vec<EventRow>> {
        let pairs: Vec<(&str, &str)> = users
            .iter()
            .map(|user| ("m.room.member", user.as_str()))
            .collect();
        let keys = self.context.store.state_keys().find(&pairs).await?;
        Ok(keys
            .into_iter()
            .flatten()
            .filter_map(|key| state.get(&key).copied())
            .collect())
    }
}

struct Walked {
    seen: Vec<Seen>,
    end: Option<Position>,
}

/// Where a walk stops, whatever its limit.
#[derive(Clone, Copy)]
struct Bounds {
    to: Option<Position>,
    horizon: Position,
}

impl Bounds {
    fn contain(self, position: Position, direction: Direction) -> bool {
        position <= self.horizon
            && self.to.is_none_or(|to| match direction {
                Direction::Backward => position > to,
                Direction::Forward => position <= to,
            })
    }
}

/// The token on the far side of an event, in the direction of the walk.
fn beyond(position: Position, direction: Direction) -> Position {
    match direction {
        Direction::Backward => Position(position.get() - 1),
        Direction::Forward => position,
    }
}

/// The first position behind a token.
fn after(at: Position) -> Position {
    Position(at.get().saturating_add(1))
}
