//! Events that users have left with the server, to be sent later.

use ruma::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entity::delayed_event::{Column, Entity, Model},
    error::Result,
    id::RoomRow,
    page::Limit,
};

/// A delayed event as stored.
pub type DelayedEvent = Model;

/// The event of this id, waiting or not. One look-up by primary key.
pub async fn one(db: &impl ConnectionTrait, delay_id: &str) -> Result<Option<DelayedEvent>> {
    Ok(Entity::find_by_id(delay_id.to_owned()).one(db).await?)
}

/// The waiting events that are due at `now_ts` (in ms, inclusive), the longest overdue first, without those of the rooms
/// `but`. One query, on the index (send_ts).
pub async fn due(
    db: &impl ConnectionTrait,
    now_ts: i64,
    but: &[RoomRow],
    limit: Limit,
) -> Result<Vec<DelayedEvent>> {
    let due = Entity::find()
        .filter(Column::SendTs.lte(now_ts))
        .filter(Column::Room.is_not_in(but.iter().copied()))
        .order_by_asc(Column::SendTs)
        .limit(limit.get());
    Ok(due.all(db).await?)
}

/// When the next one is due, in ms, without those of the rooms `but`. One query, on the index (send_ts).
pub async fn next_ts(db: &impl ConnectionTrait, but: &[RoomRow]) -> Result<Option<i64>> {
    let next = Entity::find()
        .select_only()
        .column(Column::SendTs)
        .filter(Column::SendTs.is_not_null())
        .filter(Column::Room.is_not_in(but.iter().copied()))
        .order_by_asc(Column::SendTs)
        .limit(1);
    Ok(next.into_tuple().one(db).await?)
}

/// All events of a user that wait or have waited, the newest first, at most `limit`. One query, on the index (user_id).
pub async fn of_user(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    limit: Limit,
) -> Result<Vec<DelayedEvent>> {
    let all = Entity::find()
        .filter(Column::UserId.eq(user_id.as_str()))
        .order_by_desc(Column::RunningSinceTs)
        .limit(limit.get());
    Ok(all.all(db).await?)
}
