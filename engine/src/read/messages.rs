//! Scrolling through a room: client-server API, `GET /rooms/{roomId}/messages`.

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId,
    api::client::filter::RoomEventFilter,
    events::{AnyStateEvent, AnyTimelineEvent},
    serde::Raw,
};
use storage::{
    EventRow, Limit, Position,
    timeline::{self, Gap, Nearest, Spot},
};

use super::view::{Seen, View};
use crate::{
    Requester, Result,
    events::Placed,
    relations::RelationFilter,
    remote::backfill::Filled,
    render::Shape,
    rooms::RoomHandle,
    states::StateMap,
    sync::{filter, token::PageToken},
};

/// How many events one answer may hold.
const LIMIT_MAX: usize = 1_000;
/// How often one request may wait for other servers; each time, a hundred events may come.
const FETCHES_MAX: usize = 3;
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

impl Direction {
    /// Which of the events around a time is meant.
    pub(crate) fn nearest(self) -> Nearest {
        match self {
            Self::Backward => Nearest::AtOrBefore,
            Self::Forward => Nearest::AtOrAfter,
        }
    }
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
    /// Which of them by their relations.
    pub relations: RelationFilter,
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
        let parse = |token: &Option<String>| -> Result<Option<PageToken>> {
            token.as_deref().map(str::parse).transpose()
        };
        let newest = PageToken::News(self.context.notifier.position().min(horizon));
        let from = match (parse(&ask.from)?, ask.direction) {
            (Some(from), _) if from.last_before() <= newest.last_before() => from,
            (None, Direction::Forward) => PageToken::History(Spot::MIN),
            (Some(_), _) | (None, Direction::Backward) => newest,
        };
        let bounds = Bounds {
            to: parse(&ask.to)?,
            horizon,
        };
        let limit = usize::from(ask.limit).min(LIMIT_MAX);
        let mut view = View::new(self, by, access).await?;
        let walked = self.walk(&mut view, from, &ask, bounds, limit).await?;
        let state = if !ask.filter.lazy_load_options.is_disabled() {
            self.senders_of(&mut view, &walked.seen).await?
        } else {
            Vec::new()
        };
        Ok(MessagesPage {
            start: from.to_string(),
            end: walked.end.map(|end| end.to_string()),
            chunk: view.render_all(&walked.seen, Shape::Whole).await?,
            state,
        })
    }

    /// Collects up to `limit` events that the reader may see and the filter wants. Scrolling back, it fetches from other
    /// servers what is missing on the way.
    async fn walk(
        &self,
        view: &mut View<'_>,
        from: PageToken,
        ask: &MessagesAsk,
        bounds: Bounds,
        limit: usize,
    ) -> Result<Walked> {
        let mut walked = Walked {
            seen: Vec::new(),
            end: Some(from),
        };
        let mut seams = Seams::default();
        let db = self.context.store.reader();
        // One more than is wanted tells whether there is more.
        let page = Limit::from(limit + 1);
        for _ in 0..PAGES_MAX {
            let at = walked.end.unwrap_or(from);
            let gap = match ask.direction {
                Direction::Backward => {
                    let last = bounds.last_before(at);
                    self.last_gap(seams.last_uncrossed(last)).await?
                }
                Direction::Forward => None,
            };
            let stored = match ask.direction {
                Direction::Backward => {
                    let to = gap.map_or(Spot::MIN, |gap| gap.spot);
                    timeline::back(db, self.meta.row, bounds.last_before(at), to, page).await?
                }
                Direction::Forward => {
                    let after = at.behind_which();
                    timeline::forward(db, self.meta.row, after, Spot::MAX, page).await?
                }
            };
            let mut stored = self
                .context
                .events
                .place(&self.context.metas, stored)
                .await?;
            let exhausted = (stored.len() as u64) < page.get();
            stored.truncate(limit);
            let inside: Vec<Placed> = stored
                .iter()
                .filter(|placed| bounds.contain(placed.spot, ask.direction))
                .cloned()
                .collect();
            let outside = inside.len() < stored.len();
            let wanted = inside
                .into_iter()
                .filter(|placed| filter::allows_event(&ask.filter, &placed.event))
                .collect();
            let wanted = ask.relations.wanted(view, wanted).await?;
            for seen in view.filter(wanted).await? {
                if walked.seen.len() == limit {
                    return Ok(walked);
                }
                walked.end = Some(beyond(seen.placed.spot, ask.direction));
                walked.seen.push(seen);
            }
            if let Some(last) = stored.last() {
                walked.end = Some(beyond(last.spot, ask.direction));
            }
            match gap {
                _ if outside => {
                    walked.end = None;
                    return Ok(walked);
                }
                // Before the gap lies what others may have; a full page leaves it to the next request.
                Some(gap) if exhausted => {
                    walked.end = Some(PageToken::before(gap.spot));
                    if walked.seen.len() == limit || !bounds.reach_before(gap.spot) {
                        return Ok(walked);
                    }
                    if !seams.cross(self, gap).await? {
                        return Ok(walked);
                    }
                }
                None if exhausted => {
                    walked.end = seams.end(walked.end);
                    return Ok(walked);
                }
                _ => {}
            }
            if walked.seen.len() == limit {
                break;
            }
        }
        Ok(walked)
    }

    /// The last gap before what comes after a spot.
    async fn last_gap(&self, at: Spot) -> Result<Option<Gap>> {
        let db = self.context.store.reader();
        let gaps = timeline::last_gaps(db, self.meta.row, at, 1).await?;
        Ok(gaps.first().copied())
    }

    /// The members who sent these events, as they are in the current state.
    pub(super) async fn senders_of<T>(
        &self,
        view: &mut View<'_>,
        seen: &[Seen],
    ) -> Result<Vec<Raw<T>>> {
        let senders: BTreeSet<OwnedUserId> = seen
            .iter()
            .map(|seen| seen.placed.event.sender().to_owned())
            .collect();
        let rows = self
            .member_rows(&self.current_state().await?, &senders)
            .await?;
        view.render_rows(&rows).await
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
    end: Option<PageToken>,
}

/// The gaps that one request has met on its way back.
#[derive(Default)]
struct Seams {
    fetches: usize,
    /// Right before the last one.
    crossed: Option<Spot>,
    /// The last gap, as long as nothing was found beyond it, if it may be filled at another time.
    open: Option<PageToken>,
}

impl Seams {
    /// Has what is missing before `gap` fetched; whether to go on from there in this request.
    async fn cross(&mut self, room: &RoomHandle, gap: Gap) -> Result<bool> {
        if self.fetches == FETCHES_MAX {
            return Ok(false);
        }
        self.fetches += 1;
        self.crossed = Some(gap.spot.just_before());
        let later = PageToken::before(gap.spot);
        self.open = match room.backfill(gap).await? {
            Filled::Some | Filled::Nothing => None,
            Filled::Unreachable => Some(later),
        };
        Ok(true)
    }

    /// The spot up to which to look for the next gap: the last one counts no more, whatever became of it.
    fn last_uncrossed(&self, at: Spot) -> Spot {
        if self.crossed == Some(at) {
            at.just_before()
        } else {
            at
        }
    }

    /// Where the next request may find more, when this one has come to the end of what is stored.
    fn end(&self, at: Option<PageToken>) -> Option<PageToken> {
        self.open.filter(|open| at == Some(*open))
    }
}

/// Where a walk stops, whatever its limit.
#[derive(Clone, Copy)]
struct Bounds {
    to: Option<PageToken>,
    horizon: Position,
}

impl Bounds {
    fn contain(self, spot: Spot, direction: Direction) -> bool {
        spot.anchor <= self.horizon
            && self.to.is_none_or(|to| match direction {
                Direction::Backward => spot > to.behind_which(),
                Direction::Forward => spot <= to.last_before(),
            })
    }

    /// The last spot before a token, as far as the reader may go.
    fn last_before(self, token: PageToken) -> Spot {
        token.last_before().min(Spot::news(self.horizon))
    }

    /// Whether what lies right before `spot` is still wanted, going backwards.
    fn reach_before(self, spot: Spot) -> bool {
        self.to
            .is_none_or(|to| spot.just_before() > to.behind_which())
    }
}

/// The token on the far side of an event, in the direction of the walk.
fn beyond(spot: Spot, direction: Direction) -> PageToken {
    match direction {
        Direction::Backward => PageToken::before(spot),
        Direction::Forward => PageToken::behind(spot),
    }
}
