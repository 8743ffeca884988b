//! What notifies whom, how far they have read, and so how much they have not.

use ruma::UserId;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityName, EntityTrait, FromQueryResult, Iterable,
    JoinType, Order, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement},
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

/// Which of the notifications of a user are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that stand out; of what is for the user alone, those that may.
    Highlights,
    /// Of what notifies everybody, what the user has not read as a whole.
    Unread,
}

/// A part of the log.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Before this (exclusive), the newest first.
    Before(Position),
    /// After the first (exclusive) up to the second (inclusive), the oldest first.
    Within(Position, Position),
}

/// What has notified `user` before `before` (exclusive), newest first: what notifies everybody in their rooms since they
/// have come in, unless it does something else for them, and then what is for them alone. At most `limit` of each.
///
/// Two queries: for each room of the user a look-up on the primary key, which ends after `limit` rows that fit; and one on
/// the index (user_id, position).
pub async fn before(
    db: &impl ConnectionTrait,
    user: &UserId,
    which: Which,
    before: Position,
    limit: Limit,
) -> Result<Vec<Notification>> {
    page(db, user, which, Part::Before(before), limit).await
}

/// The same after `after` (exclusive) up to `to` (inclusive), oldest first.
pub async fn after(
    db: &impl ConnectionTrait,
    user: &UserId,
    which: Which,
    (after, to): (Position, Position),
    limit: Limit,
) -> Result<Vec<Notification>> {
    page(db, user, which, Part::Within(after, to), limit).await
}

async fn page(
    db: &impl ConnectionTrait,
    user: &UserId,
    which: Which,
    part: Part,
    limit: Limit,
) -> Result<Vec<Notification>> {
    use notification::Column::{Actions, UserId};
    let mut found = Vec::new();
    for row in db.query_all(&common(user, which, part, limit)).await? {
        found.push(Notification::from_query_result(&row, "")?);
    }
    let own = Alias::new(notification::Entity.table_name());
    let mut own = notification::Entity::find()
        .filter(UserId.eq(user.as_str()))
        .filter(Actions.ne(""))
        .filter(part.has(&own))
        .order_by(notification::Column::Position, part.order())
        .limit(limit.get());
    if which == Which::Highlights {
        own = own.filter(Actions.contains("highlight"));
    }
    found.extend(own.all(db).await?);
    Ok(found)
}

/// What notifies everybody in the rooms of a user, unless there is a row of their own.
fn common(user: &UserId, which: Which, part: Part, limit: Limit) -> SelectStatement {
    use notification::Column::{Highlight, Position, Room, UserId};
    let (reading, row, own) = (Alias::new("r"), Alias::new("n"), Alias::new("own"));
    let picked = Alias::new("picked");
    let at = |table: &Alias, column: notification::Column| Expr::col((table.clone(), column));
    let read = |column: reading::Column| Expr::col((reading.clone(), column));
    let of_room = |table: &Alias| at(table, Room).equals((reading.clone(), reading::Column::Room));
    let different = Query::select()
        .column((own.clone(), Position))
        .from_as(notification::Entity, own.clone())
        .and_where(of_room(&own))
        .and_where(at(&own, UserId).eq(user.as_str()))
        .and_where(at(&own, Position).equals((picked.clone(), Position)))
        .take();
    // The newest or oldest ones of each room, so that no room is read as a whole.
    let mut of_each = Query::select();
    of_each
        .column((picked.clone(), Position))
        .from_as(notification::Entity, picked.clone())
        .and_where(of_room(&picked))
        .and_where(at(&picked, UserId).eq(EVERYBODY))
        .cond_where(part.has(&picked))
        .and_where(at(&picked, Position).gt(read(reading::Column::Since)))
        .and_where(Expr::exists(different).not())
        .order_by((picked.clone(), Position), part.order())
        .limit(limit.get());
    if which == Which::Highlights {
        of_each.and_where(at(&picked, Highlight).gt(0));
    }
    let begin = match which {
        Which::All | Which::Highlights => reading::Column::Since,
        Which::Unread => reading::Column::Position,
    };
    of_each.and_where(at(&picked, Position).gt(read(begin)));
    Query::select()
        .columns(notification::Column::iter().map(|column| (row.clone(), column)))
        .from_as(reading::Entity, reading.clone())
        // Not an inner join, which SQLite may turn around: the rooms of the user come first, and there are few. PostgreSQL
        // may all the same, and looks at each row then: so what bounds those that are picked bounds these.
        .join_as(
            JoinType::CrossJoin,
            notification::Entity,
            row.clone(),
            Condition::all(),
        )
        .and_where(read(reading::Column::UserId).eq(user.as_str()))
        .and_where(read(reading::Column::Thread).eq(WHOLE))
        .and_where(of_room(&row))
        .and_where(at(&row, UserId).eq(EVERYBODY))
        .cond_where(part.has(&row))
        .and_where(at(&row, Position).gt(read(reading::Column::Since)))
        .and_where(at(&row, Position).gt(read(begin)))
        .and_where(at(&row, Position).in_subquery(of_each.take()))
        .order_by((row.clone(), Position), part.order())
        .limit(limit.get())
        .take()
}

impl Part {
    fn has(self, table: &Alias) -> Condition {
        let position = || Expr::col((table.clone(), notification::Column::Position));
        match self {
            Self::Before(before) => Condition::all().add(position().lt(before)),
            Self::Within(after, to) => Condition::all()
                .add(position().gt(after))
                .add(position().lte(to)),
        }
    }

    fn order(self) -> Order {
        match self {
            Self::Before(_) => Order::Desc,
            Self::Within(..) => Order::Asc,
        }
    }
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
