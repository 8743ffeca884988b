//! What notifies whom, how far they have read, and so how much they have not.

use ruma::UserId;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Alias, Expr, ExprTrait, Query},
};

use crate::{
    entity::{account_data, counter, event, membership, notification, reading},
    error::Result,
    events::StoredEvent,
    id::{Position, RoomRow},
    members::Membership,
    padded::padded,
    page::Limit,
};

pub use crate::entity::{
    notification::{EVERYBODY, MAIN, Model as Notification},
    reading::{Model as Reading, WHOLE},
};

/// The counter of the position up to which it is known what notifies whom.
pub(crate) const FLOOR: &str = "notifications";

/// Up to where it is known what notifies whom; `None` if that was never asked.
pub async fn floor(db: &impl ConnectionTrait) -> Result<Option<Position>> {
    let found = counter::Entity::find_by_id(FLOOR).one(db).await?;
    Ok(found.map(|counter| Position(counter.value)))
}

/// What a user has not read of one thread of a room.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct UnreadThread {
    /// The room.
    pub room: RoomRow,
    /// The root of the thread, or [`MAIN`].
    pub thread: String,
    /// How many events notify.
    pub notify: i64,
    /// How many of them stand out.
    pub highlight: i64,
    /// The place of the last of them.
    pub last: Position,
}

/// What `user` has not read in these rooms up to `to` (inclusive), in no order. One query for 256 rooms: its cost grows
/// with what is unread, which is bounded for each room.
pub async fn unread(
    db: &impl ConnectionTrait,
    user: &UserId,
    rooms: &[RoomRow],
    to: Position,
) -> Result<Vec<UnreadThread>> {
    let (whole, threaded) = (Alias::new("whole"), Alias::new("threaded"));
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let at = |table: &Alias, column: reading::Column| Expr::col((table.clone(), column));
        let of = |column: notification::Column| Expr::col((notification::Entity, column));
        let same_room = |table: &Alias| {
            at(table, reading::Column::Room)
                .equals((notification::Entity, notification::Column::Room))
        };
        let mut query = Query::select();
        query
            .column((notification::Entity, notification::Column::Room))
            .column((notification::Entity, notification::Column::Thread))
            .expr_as(
                of(notification::Column::Notify)
                    .sum()
                    .cast_as(Alias::new("bigint")),
                "notify",
            )
            .expr_as(
                of(notification::Column::Highlight)
                    .sum()
                    .cast_as(Alias::new("bigint")),
                "highlight",
            )
            .expr_as(of(notification::Column::Position).max(), "last")
            .from_as(reading::Entity, whole.clone())
            .join(
                JoinType::InnerJoin,
                notification::Entity,
                Condition::all()
                    .add(same_room(&whole))
                    .add(of(notification::Column::UserId).is_in([EVERYBODY, user.as_str()]))
                    .add(
                        of(notification::Column::Position)
                            .gt(at(&whole, reading::Column::Position)),
                    ),
            )
            .join_as(
                JoinType::LeftJoin,
                reading::Entity,
                threaded.clone(),
                Condition::all()
                    .add(at(&threaded, reading::Column::UserId).eq(user.as_str()))
                    .add(same_room(&threaded))
                    .add(
                        at(&threaded, reading::Column::Thread)
                            .equals((notification::Entity, notification::Column::Thread)),
                    ),
            )
            .and_where(at(&whole, reading::Column::UserId).eq(user.as_str()))
            .and_where(at(&whole, reading::Column::Thread).eq(WHOLE))
            .and_where(at(&whole, reading::Column::Room).is_in(chunk))
            .and_where(of(notification::Column::Position).lte(to))
            .cond_where(
                Condition::any()
                    .add(at(&threaded, reading::Column::Position).is_null())
                    .add(
                        of(notification::Column::Position)
                            .gt(at(&threaded, reading::Column::Position)),
                    ),
            )
            .group_by_columns([
                (notification::Entity, notification::Column::Room),
                (notification::Entity, notification::Column::Thread),
            ]);
        for row in db.query_all(&query).await? {
            found.push(UnreadThread::from_query_result(&row, "")?);
        }
    }
    Ok(found)
}

/// How far a user has read, in all rooms that they are in. One query, on the primary key.
pub async fn readings(db: &impl ConnectionTrait, user: &UserId) -> Result<Vec<Reading>> {
    let readings = reading::Entity::find().filter(reading::Column::UserId.eq(user.as_str()));
    Ok(readings.all(db).await?)
}

/// What notified anybody on this server, or `user` alone, before `before` (exclusive), newest first, at most `limit` of
/// each. Two queries, on the index (user_id, position).
pub async fn before(
    db: &impl ConnectionTrait,
    user: &UserId,
    before: Position,
    limit: Limit,
) -> Result<Vec<Notification>> {
    let mut found = Vec::new();
    for whom in [EVERYBODY, user.as_str()] {
        let page = notification::Entity::find()
            .filter(notification::Column::UserId.eq(whom))
            .filter(notification::Column::Position.lt(before))
            .order_by_desc(notification::Column::Position)
            .limit(limit.get());
        found.extend(page.all(db).await?);
    }
    Ok(found)
}

/// What notified anybody on this server, or `user` alone, after `after` (exclusive) up to `to` (inclusive), oldest first, at
/// most `limit` of each. Two queries, on the index (user_id, position).
pub async fn after(
    db: &impl ConnectionTrait,
    user: &UserId,
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<Notification>> {
    let mut found = Vec::new();
    for whom in [EVERYBODY, user.as_str()] {
        let page = notification::Entity::find()
            .filter(notification::Column::UserId.eq(whom))
            .filter(notification::Column::Position.gt(after))
            .filter(notification::Column::Position.lte(to))
            .order_by_asc(notification::Column::Position)
            .limit(limit.get());
        found.extend(page.all(db).await?);
    }
    Ok(found)
}

/// The place of the `kept`th newest row of [`EVERYBODY`] in a room; `None` if there are not so many. One query, on the
/// primary key.
pub async fn place_of(
    db: &impl ConnectionTrait,
    room: RoomRow,
    kept: u64,
) -> Result<Option<Position>> {
    let place = notification::Entity::find()
        .select_only()
        .column(notification::Column::Position)
        .filter(notification::Column::Room.eq(room))
        .filter(notification::Column::UserId.eq(EVERYBODY))
        .order_by_desc(notification::Column::Position)
        .offset(kept)
        .limit(1);
    Ok(place.into_tuple().one(db).await?)
}

/// The users who are joined to `room` and have global account data of one of these types. One query, on the primary keys:
/// its cost grows with the members of the room.
pub async fn joined_with_account_data(
    db: &impl ConnectionTrait,
    room: RoomRow,
    types: &[&str],
) -> Result<Vec<String>> {
    let mut with = Query::select();
    with.column(account_data::Column::UserId)
        .from(account_data::Entity)
        .and_where(Expr::col(account_data::Column::Room).eq(account_data::GLOBAL.get()))
        .and_where(Expr::col(account_data::Column::EventType).is_in(types.iter().copied()));
    let joined = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .filter(membership::Column::UserId.in_subquery(with));
    Ok(joined.into_tuple().all(db).await?)
}

/// All news after `after` (exclusive) up to `to` (inclusive), whatever became of it, oldest first, at most `limit`. One
/// query, on the index (position).
pub async fn news(
    db: &impl ConnectionTrait,
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let news = event::Entity::find()
        .filter(event::Column::Position.gt(after))
        .filter(event::Column::Position.lte(to))
        .order_by_asc(event::Column::Position)
        .limit(limit.get());
    Ok(news.all(db).await?)
}
