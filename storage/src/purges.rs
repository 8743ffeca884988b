//! What is to be deleted: messages that have had their time, and rooms that nobody here wants to see any more.

use ruma::{RoomId, ServerName};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait},
};

use crate::{
    entity::{event, membership, purge, room, self_destruct, summary},
    error::Result,
    events::StoredEvent,
    id::{EventRow, RoomRow},
    page::Limit,
};

/// A room to be deleted, as stored.
pub type Purge = purge::Model;

/// By which messages that have had their time follow each other: when they were sent, in ms, and their row.
pub type Sent = (i64, EventRow);

/// Before all of them.
pub const FIRST: Sent = (i64::MIN, EventRow(i64::MIN));

/// Events of `room` that are no state and were sent, as they say, before `before_ts` (exclusive, in ms), after `after`
/// (exclusive), the oldest first; whatever became of them.
///
/// At most `limit`; fewer mean that there are no more. One query, on the index (room, origin_server_ts, id) of these events.
pub async fn expired(
    db: &impl ConnectionTrait,
    room: RoomRow,
    before_ts: i64,
    after: Sent,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    use event::Column::{Id, OriginServerTs, Room, StateKey};
    let here = Expr::tuple([Expr::col(OriginServerTs), Expr::col(Id)]);
    let expired = event::Entity::find()
        .filter(Room.eq(room))
        .filter(StateKey.is_null())
        .filter(OriginServerTs.lt(before_ts))
        .filter(here.gt(Expr::tuple([Expr::val(after.0), Expr::val(after.1)])))
        .order_by_asc(OriginServerTs)
        .order_by_asc(Id)
        .limit(limit.get());
    Ok(expired.all(db).await?)
}

/// A message that says itself when it is to go, as stored.
pub type SelfDestruct = self_destruct::Model;

/// Messages that were to go, by their own word, at or before `until_ts` (in ms), after `after` (exclusive, when and which), the
/// longest due first.
///
/// At most `limit`; fewer mean that there are no more. One query, on the index (due_ts, event).
pub async fn self_destructing(
    db: &impl ConnectionTrait,
    until_ts: i64,
    after: Sent,
    limit: Limit,
) -> Result<Vec<SelfDestruct>> {
    use self_destruct::Column::{DueTs, Event};
    let here = Expr::tuple([Expr::col(DueTs), Expr::col(Event)]);
    let due = self_destruct::Entity::find()
        .filter(DueTs.lte(until_ts))
        .filter(here.gt(Expr::tuple([Expr::val(after.0), Expr::val(after.1)])))
        .order_by_asc(DueTs)
        .order_by_asc(Event)
        .limit(limit.get());
    Ok(due.all(db).await?)
}

/// How long messages are kept, at least and at most, by the room itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// At least, in ms.
    pub min_ms: Option<i64>,
    /// At most, in ms.
    pub max_ms: Option<i64>,
}

/// What a room says of how long messages are kept. One look-up by primary key.
pub async fn lifetime(db: &impl ConnectionTrait, room: RoomRow) -> Result<Lifetime> {
    let found = lifetimes().filter(summary::Column::Room.eq(room));
    let found: Option<(RoomRow, Option<i64>, Option<i64>)> = found.into_tuple().one(db).await?;
    Ok(
        found.map_or_else(Lifetime::default, |(_, min_ms, max_ms)| Lifetime {
            min_ms,
            max_ms,
        }),
    )
}

/// The rooms after `after` (exclusive), by row, and what each says of how long messages are kept; `only_own`: only those that
/// say something.
///
/// At most `limit`; fewer mean that there are no more. One query, on the primary key, or the index of rooms that say
/// something.
pub async fn rooms_after(
    db: &impl ConnectionTrait,
    after: RoomRow,
    only_own: OnlyOwn,
    limit: Limit,
) -> Result<Vec<(RoomRow, Lifetime)>> {
    let mut rooms = lifetimes()
        .filter(summary::Column::Room.gt(after))
        .order_by_asc(summary::Column::Room)
        .limit(limit.get());
    if only_own == OnlyOwn::Yes {
        rooms = rooms.filter(summary::Column::MaxLifetime.is_not_null());
    }
    let rows: Vec<(RoomRow, Option<i64>, Option<i64>)> = rooms.into_tuple().all(db).await?;
    let rows = rows.into_iter();
    let rows = rows.map(|(room, min_ms, max_ms)| (room, Lifetime { min_ms, max_ms }));
    Ok(rows.collect())
}

/// Whether only rooms are wanted that say themselves how long messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyOwn {
    /// Those.
    Yes,
    /// All rooms.
    No,
}

fn lifetimes() -> sea_orm::Select<summary::Entity> {
    use summary::Column::{MaxLifetime, MinLifetime, Room};
    summary::Entity::find()
        .select_only()
        .columns([Room, MinLifetime, MaxLifetime])
}

/// Rooms that are going, or that were forgotten last at or before `forgotten_ts` (in ms), after `after` (exclusive), by row.
///
/// At most `limit`; fewer mean that there are no more. One query; its cost grows with all rooms that somebody has forgotten.
pub async fn due(
    db: &impl ConnectionTrait,
    forgotten_ts: i64,
    after: RoomRow,
    limit: Limit,
) -> Result<Vec<Purge>> {
    let due = purge::Column::Going
        .eq(true)
        .or(purge::Column::ForgottenTs.lte(forgotten_ts));
    let rooms = purge::Entity::find()
        .filter(purge::Column::Room.gt(after))
        .filter(due)
        .order_by_asc(purge::Column::Room)
        .limit(limit.get());
    Ok(rooms.all(db).await?)
}

/// Whether a room of this name is going. One look-up by an index.
pub async fn is_going(db: &impl ConnectionTrait, room_id: &RoomId) -> Result<bool> {
    let going = purge::Entity::find()
        .filter(purge::Column::RoomId.eq(room_id.as_str()))
        .filter(purge::Column::Going.eq(true));
    Ok(going.count(db).await? > 0)
}

/// Whether a user of `server` has to do with a room and has not forgotten it. One query, on the primary key: its cost grows
/// with the members of the room.
pub async fn is_wanted(
    db: &impl ConnectionTrait,
    room: RoomRow,
    server: &ServerName,
) -> Result<bool> {
    let wanting = membership::Entity::find()
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Forgotten.eq(false));
    Ok(wanting.count(db).await? > 0)
}

/// Whether anything is left of a room that is going. One look-up by primary key.
pub async fn is_left(db: &impl ConnectionTrait, room: RoomRow) -> Result<bool> {
    Ok(room::Entity::find_by_id(room).count(db).await? > 0)
}
