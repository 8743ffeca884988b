//! The children of an event: client-server API, `GET /rooms/{roomId}/relations/{eventId}`.

use std::collections::HashMap;

use ruma::{OwnedEventId, events::AnyTimelineEvent, serde::Raw};
use storage::{
    Limit,
    relations::{self, Order, StoredRelation, Wanted},
    timeline::Spot,
};

use crate::{
    Direction, Error, Requester, Result, Subject,
    read::view::{Seen, View},
    render::Shape,
    rooms::RoomHandle,
    sync::token::PageToken,
};

/// How many children one answer may hold.
const LIMIT_MAX: usize = 1_000;
/// How many relations are followed to children of children: at least three, as the specification has it.
const DEPTH_MAX: u8 = 3;
/// How many stored pages one request may look through for children that the reader may see.
const PAGES_MAX: usize = 20;

/// Which children of an event to read.
#[derive(Clone, Debug)]
pub struct RelationsAsk {
    /// The event.
    pub event_id: OwnedEventId,
    /// How they relate.
    pub rel_type: Option<String>,
    /// Their type.
    pub event_type: Option<String>,
    /// Where to start; by default at the end that lies opposite to the direction.
    pub from: Option<String>,
    /// Where to stop.
    pub to: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// How many at most.
    pub limit: u16,
    /// Whether children of children are wanted too.
    pub recurse: bool,
}

/// Some children of an event.
#[derive(Clone, Debug)]
pub struct RelationsPage {
    /// The children, in the direction of the request.
    pub chunk: Vec<Raw<AnyTimelineEvent>>,
    /// The token at which the next page starts; `None` when there is no more.
    pub next_batch: Option<String>,
    /// The token at which this page starts; `None` at the beginning.
    pub prev_batch: Option<String>,
    /// How many relations were followed at most, if children of children were wanted.
    pub recursion_depth: Option<u8>,
}

impl RoomHandle {
    /// Some children of an event, without what the user may not see and what ignored users have sent.
    ///
    /// # Errors
    /// [`Error::NotFound`]: the room has no such event, or the user may not see it. [`Error::InvalidParam`]: a token is not
    /// one of this server's.
    pub async fn relations(&self, by: &Requester, ask: RelationsAsk) -> Result<RelationsPage> {
        let not_found = || Error::NotFound(Subject::Event);
        let access = self.access(by).await.map_err(|error| match error {
            Error::Forbidden(_) => not_found(),
            error => error,
        })?;
        let mut view = View::new(self, by, access).await?;
        let parent = self.placed(&ask.event_id).await?.ok_or_else(not_found)?;
        // Whoever ignores its sender still has what others say to it.
        if view.visible(vec![parent]).await?.is_empty() {
            return Err(not_found());
        }
        let limit = usize::from(ask.limit).clamp(1, LIMIT_MAX);
        let (seen, next) = self.walk_children(&mut view, &ask, limit).await?;
        Ok(RelationsPage {
            chunk: view.render_all(&seen, Shape::Whole).await?,
            next_batch: next.map(|next| next.to_string()),
            prev_batch: ask.from,
            recursion_depth: ask.recurse.then_some(DEPTH_MAX),
        })
    }

    /// Collects up to `limit` children; also says where to go on, if there are more.
    async fn walk_children(
        &self,
        view: &mut View<'_>,
        ask: &RelationsAsk,
        limit: usize,
    ) -> Result<(Vec<Seen>, Option<PageToken>)> {
        let (mut first, mut last) = bounds(ask)?;
        last = last.min(Spot::news(view.access.horizon()));
        let wanted = Wanted {
            parent: &ask.event_id,
            depth: if ask.recurse { DEPTH_MAX } else { 1 },
            rel_type: ask.rel_type.as_deref(),
            event_type: ask.event_type.as_deref(),
        };
        let order = match ask.direction {
            Direction::Backward => Order::LastFirst,
            Direction::Forward => Order::FirstFirst,
        };
        // One more than is wanted tells whether there is more.
        let page = Limit::from(limit + 1);
        let db = self.context.store.reader();
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut stored =
                relations::children(db, self.meta.row, wanted, (first, last), order, page).await?;
            let all = stored.len();
            // Not beyond what is still wanted, so that the token stands right behind the last one taken.
            stored.truncate(limit - found.len());
            let more = stored.len() < all;
            let at = stored.last().map(StoredRelation::spot);
            found.extend(self.seen_children(view, &stored).await?);
            let Some(at) = at.filter(|_| more) else {
                return Ok((found, None));
            };
            match ask.direction {
                Direction::Backward => last = at.just_before(),
                Direction::Forward => first = just_behind(at),
            }
            if found.len() == limit {
                break;
            }
        }
        let next = match ask.direction {
            Direction::Backward => PageToken::behind(last),
            Direction::Forward => PageToken::behind(first.just_before()),
        };
        Ok((found, Some(next)))
    }

    /// Those of these children that the reader sees, in the same order.
    async fn seen_children(
        &self,
        view: &mut View<'_>,
        stored: &[StoredRelation],
    ) -> Result<Vec<Seen>> {
        let rows: Vec<_> = stored.iter().map(|relation| relation.child).collect();
        let context = &self.context;
        // One may have been deleted since.
        let known = context.events.find_many(&context.metas, &rows).await?;
        let mut known: HashMap<_, _> = known.into_iter().map(|known| (known.row, known)).collect();
        let placed = stored.iter().filter_map(|relation| {
            Some(crate::events::Placed {
                spot: relation.spot(),
                known: known.remove(&relation.child)?,
                gap: false,
            })
        });
        view.filter(placed.collect()).await
    }
}

/// The first and the last spot that the tokens leave.
fn bounds(ask: &RelationsAsk) -> Result<(Spot, Spot)> {
    let parse = |token: &Option<String>| -> Result<Option<PageToken>> {
        token.as_deref().map(str::parse).transpose()
    };
    let (from, to) = (parse(&ask.from)?, parse(&ask.to)?);
    let (first, last) = match ask.direction {
        Direction::Backward => (to, from),
        Direction::Forward => (from, to),
    };
    Ok((
        first.map_or(Spot::MIN, |token| just_behind(token.behind_which())),
        last.map_or(Spot::MAX, PageToken::last_before),
    ))
}

/// Between a spot and what comes after it.
fn just_behind(spot: Spot) -> Spot {
    let position = storage::Position(spot.position.get().saturating_add(1));
    Spot { position, ..spot }
}
