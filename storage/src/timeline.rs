//! Rooms from their beginning to now, history that was fetched later included.
//!
//! What was news stands where it became news. What was fetched later fills a gap: it stands right before the event behind
//! which it was missing, by its depth. So nothing that a client has seen ever changes its order.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{Expr, ExprTrait},
};

use crate::{
    entity::event::{self, Outcome},
    error::Result,
    events::StoredEvent,
    id::{EventRow, Position, RoomRow},
    page::Limit,
};

/// Where an event stands in the timeline of its room. Spots of one room compare as their events follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The position of the news in front of which it stands; of news, its own.
    pub anchor: Position,
    /// The order of those in front of the same news; [`Spot::NEWS`] for the news itself.
    pub rank: i64,
    /// Its position; decides among equal ranks.
    pub position: Position,
}

impl Spot {
    /// The rank of what was news. History has smaller ones.
    pub const NEWS: i64 = i64::MAX;
    /// Before everything.
    pub const MIN: Self = Self {
        anchor: Position::MIN,
        rank: i64::MIN,
        position: Position::MIN,
    };
    /// After everything.
    pub const MAX: Self = Self::news(Position::MAX);

    /// The spot of what was news at `position`.
    #[must_use]
    pub const fn news(position: Position) -> Self {
        Self {
            anchor: position,
            rank: Self::NEWS,
            position,
        }
    }

    /// Between this spot and what lies before it.
    #[must_use]
    pub const fn just_before(self) -> Self {
        Self {
            position: Position(self.position.0.saturating_sub(1)),
            ..self
        }
    }

    /// Whether it belongs to history.
    #[must_use]
    pub const fn is_history(self) -> bool {
        self.rank != Self::NEWS
    }
}

/// An event before which something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The event.
    pub event: EventRow,
    /// Where it stands.
    pub spot: Spot,
}

impl StoredEvent {
    /// Where it stands in the timeline; `None` for an event without a place there.
    #[must_use]
    pub fn spot(&self) -> Option<Spot> {
        let position = self.position?;
        Some(match (self.anchor, self.rank) {
            (Some(anchor), Some(rank)) => Spot {
                anchor,
                rank,
                position,
            },
            _ => Spot::news(position),
        })
    }
}

/// Accepted events of `room` from `from` back to `to` (both inclusive), last first.
///
/// At most `limit`; fewer mean that there are no more. Two queries, on the indexes (room, position) and (room, anchor,
/// rank, position).
pub async fn back(
    db: &impl ConnectionTrait,
    room: RoomRow,
    from: Spot,
    to: Spot,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let limit = limit.get();
    let news = news(room, to, from).order_by(event::Column::Position, Order::Desc);
    let mut page = news.limit(limit).all(db).await?;
    let history = history(room, to, from)
        .order_by(event::Column::Anchor, Order::Desc)
        .order_by(event::Column::Rank, Order::Desc)
        .order_by(event::Column::Position, Order::Desc);
    page.extend(history.limit(limit).all(db).await?);
    page.sort_by_key(|event| std::cmp::Reverse(event.spot()));
    page.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(page)
}

/// Accepted events of `room` after `after` (exclusive) up to `to` (inclusive), first first. Otherwise as [`back`].
pub async fn forward(
    db: &impl ConnectionTrait,
    room: RoomRow,
    after: Spot,
    to: Spot,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let limit = limit.get();
    let from = Spot {
        position: Position(after.position.0.saturating_add(1)),
        ..after
    };
    let news = news(room, from, to).order_by(event::Column::Position, Order::Asc);
    let mut page = news.limit(limit).all(db).await?;
    let history = history(room, from, to)
        .order_by(event::Column::Anchor, Order::Asc)
        .order_by(event::Column::Rank, Order::Asc)
        .order_by(event::Column::Position, Order::Asc);
    page.extend(history.limit(limit).all(db).await?);
    page.sort_by_key(StoredEvent::spot);
    page.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(page)
}

/// What was news between two spots (inclusive).
fn news(room: RoomRow, first: Spot, last: Spot) -> Select<event::Entity> {
    let from = if Spot::news(first.anchor) >= first {
        first.anchor
    } else {
        Position(first.anchor.0.saturating_add(1))
    };
    let to = if Spot::news(last.anchor) <= last {
        last.anchor
    } else {
        Position(last.anchor.0.saturating_sub(1))
    };
    event::Entity::find()
        .filter(event::Column::Room.eq(room))
        .filter(event::Column::Position.gt(Position::ZERO))
        .filter(event::Column::Position.gte(from))
        .filter(event::Column::Position.lte(to))
        .filter(event::Column::Outcome.eq(Outcome::Accepted))
}

/// History between two spots (inclusive).
fn history(room: RoomRow, first: Spot, last: Spot) -> Select<event::Entity> {
    let key = || {
        Expr::tuple([
            Expr::col(event::Column::Anchor),
            Expr::col(event::Column::Rank),
            Expr::col(event::Column::Position),
        ])
    };
    let values = |spot: Spot| {
        Expr::tuple([
            Expr::val(spot.anchor.0),
            Expr::val(spot.rank),
            Expr::val(spot.position.0),
        ])
    };
    event::Entity::find()
        .filter(event::Column::Room.eq(room))
        .filter(event::Column::Anchor.is_not_null())
        .filter(event::Column::Position.is_not_null())
        .filter(key().gte(values(first)))
        .filter(key().lte(values(last)))
        .filter(event::Column::Outcome.eq(Outcome::Accepted))
}

/// The last gap of `room` that lies before what comes after `at`, and those next before it with the same anchor: at most
/// `limit` in all, last first. One query, on the index (room) of gaps.
pub async fn last_gaps(
    db: &impl ConnectionTrait,
    room: RoomRow,
    at: Spot,
    limit: usize,
) -> Result<Vec<Gap>> {
    let mut gaps = gaps(db, room, GapsWanted::All).await?;
    gaps.retain(|gap| gap.spot.just_before() <= at);
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.spot));
    if let Some(last) = gaps.first().copied() {
        gaps.retain(|gap| gap.spot.anchor == last.spot.anchor);
    }
    gaps.truncate(limit);
    Ok(gaps)
}

/// The first gap of `room` whose event was sent after `ts`, in ms: what was sent about then may be missing there. One
/// query, on the index (room) of gaps.
pub async fn gap_after(db: &impl ConnectionTrait, room: RoomRow, ts: i64) -> Result<Option<Gap>> {
    let gaps = gaps(db, room, GapsWanted::SentAfter(ts)).await?;
    Ok(gaps.into_iter().min_by_key(|gap| gap.spot))
}

enum GapsWanted {
    All,
    SentAfter(i64),
}

async fn gaps(db: &impl ConnectionTrait, room: RoomRow, wanted: GapsWanted) -> Result<Vec<Gap>> {
    use event::Column::{Anchor, Id, OriginServerTs, Position as At, Rank};
    let mut open = event::Entity::find()
        .select_only()
        .columns([Id, At, Anchor, Rank])
        .filter(event::Column::Room.eq(room))
        // Not that it has a place, too: by that, SQLite would take the index of places and read the whole room.
        .filter(event::Column::Gap.eq(true));
    if let GapsWanted::SentAfter(ts) = wanted {
        open = open.filter(OriginServerTs.gt(ts));
    }
    let open = open
        .limit(GAPS_MAX)
        .into_tuple::<(EventRow, Option<Position>, Option<Position>, Option<i64>)>();
    let gap = |(event, position, anchor, rank): (_, Option<Position>, Option<_>, Option<_>)| {
        let position = position?;
        let spot = Spot {
            anchor: anchor.unwrap_or(position),
            rank: rank.unwrap_or(Spot::NEWS),
            position,
        };
        Some(Gap { event, spot })
    };
    Ok(open.all(db).await?.into_iter().filter_map(gap).collect())
}

/// How many gaps of one room are looked at.
const GAPS_MAX: u64 = 1_000;

/// Which of several events with about the same time is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The first at or after it.
    AtOrAfter,
    /// The last at or before it.
    AtOrBefore,
}

/// Accepted events of `room` by how near their own time is to `ts`, in ms, on one side of it and behind those that were
/// `seen` at `from`: nearest first, at most `limit`. One query, on the index (room, origin_server_ts).
pub async fn nearest(
    db: &impl ConnectionTrait,
    room: RoomRow,
    ts: i64,
    which: Nearest,
    seen: Option<(i64, EventRow)>,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    use event::Column::{Id, OriginServerTs};
    let events = event::Entity::find()
        .filter(event::Column::Room.eq(room))
        .filter(event::Column::Position.is_not_null())
        .filter(event::Column::Outcome.eq(Outcome::Accepted));
    let (mut events, order) = match which {
        Nearest::AtOrAfter => (events.filter(OriginServerTs.gte(ts)), Order::Asc),
        Nearest::AtOrBefore => (events.filter(OriginServerTs.lte(ts)), Order::Desc),
    };
    if let Some((from, row)) = seen {
        let same = Condition::all().add(OriginServerTs.eq(from));
        let (beyond, same) = match which {
            Nearest::AtOrAfter => (OriginServerTs.gt(from), same.add(Id.gt(row))),
            Nearest::AtOrBefore => (OriginServerTs.lt(from), same.add(Id.lt(row))),
        };
        events = events.filter(Condition::any().add(beyond).add(same));
    }
    let events = events
        .order_by(OriginServerTs, order.clone())
        .order_by(Id, order);
    Ok(events.limit(limit.get()).all(db).await?)
}
