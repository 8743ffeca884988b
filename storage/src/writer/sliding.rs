//! What clients of sliding sync have been sent: of each answer only what it has changed.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait as _, QueryFilter,
    sea_query::{Expr, ExprTrait as _, Query},
};

use super::rows::{Existing, delete, insert, values};
use crate::{
    entity::{
        device,
        sliding_connection::{Column, Entity},
        sliding_room,
    },
    error::Result,
    write::SlidingAnswered,
};

/// The connection with this name.
pub(super) fn named(user_id: &str, device_id: &str, conn_id: &str) -> Condition {
    Condition::all()
        .add(Column::UserId.eq(user_id))
        .add(Column::DeviceId.eq(device_id))
        .add(Column::ConnId.eq(conn_id))
}

/// Connections of which nothing was written since `before_ts`, and whose device was not seen since then either.
pub(super) fn idle(before_ts: i64) -> Condition {
    let seen = Query::select()
        .expr(Expr::val(1))
        .from(device::Entity)
        .and_where(
            Expr::col((device::Entity, device::Column::UserId)).equals((Entity, Column::UserId)),
        )
        .and_where(
            Expr::col((device::Entity, device::Column::DeviceId))
                .equals((Entity, Column::DeviceId)),
        )
        .and_where(Expr::col((device::Entity, device::Column::LastSeenTs)).gte(before_ts))
        .to_owned();
    Condition::all()
        .add(Column::WrittenTs.lt(before_ts))
        .add(Expr::exists(seen).not())
}

/// Forgets connections.
pub(super) async fn forget(db: &impl ConnectionTrait, which: Condition) -> Result<()> {
    let numbers = Query::select()
        .column(Column::Number)
        .from(Entity)
        .cond_where(which.clone())
        .to_owned();
    let rooms = sliding_room::Column::Number.in_subquery(numbers);
    delete::<sliding_room::Entity>(db, rooms).await?;
    delete::<Entity>(db, which).await
}

/// Keeps what a client has with an answer. What does not go on from what is kept is not kept, so that the client begins anew
/// after a restart rather than from something wrong.
pub(super) async fn answered(db: &impl ConnectionTrait, answered: &SlidingAnswered) -> Result<()> {
    let connection = &answered.connection;
    let name = named(
        &connection.user_id,
        &connection.device_id,
        &connection.conn_id,
    );
    if answered.whole {
        forget(db, name).await?;
    } else {
        let is_base = Condition::any()
            .add(Column::Used.eq(connection.used))
            .add(Column::Issued.eq(connection.used));
        let this = name.add(Column::Number.eq(connection.number));
        let kept = Entity::find().filter(this.clone()).filter(is_base);
        if kept.count(db).await? == 0 {
            return forget(db, this).await;
        }
        settle(db, connection.number, connection.used).await?;
        delete::<Entity>(db, this).await?;
    }
    insert::<Entity>(db, Existing::Conflicts, vec![values(connection)]).await?;
    let rooms = answered.rooms.iter().map(values).collect();
    insert::<sliding_room::Entity>(db, Existing::Conflicts, rooms).await
}

/// Now that a client has a generation: deletes what it replaces, and what comes after it, which nobody has.
async fn settle(db: &impl ConnectionTrait, number: i64, used: i64) -> Result<()> {
    use sliding_room::{Column as Room, Entity as Rooms};
    let replaced = Query::select()
        .column(Room::Room)
        .from(Rooms)
        .cond_where(Room::Number.eq(number))
        .and_where(Room::Generation.eq(used))
        .to_owned();
    let of_connection = || Condition::all().add(Room::Number.eq(number));
    let older = of_connection()
        .add(Room::Generation.lt(used))
        .add(Room::Room.in_subquery(replaced));
    delete::<Rooms>(db, older).await?;
    let newer = of_connection().add(Room::Generation.gt(used));
    delete::<Rooms>(db, newer).await
}
