//! The threads that users follow: MSC4306.

use ruma::{EventId, UserId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entity::thread_subscription::{Column, Entity, Model},
    error::Result,
    id::{Position, RoomRow},
    padded::padded,
    page::Limit,
};

/// A subscription as stored.
pub type ThreadSubscription = Model;

/// What a user has to do with a thread; `None`: nothing ever. One look-up by primary key.
pub async fn one(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    room: RoomRow,
    thread_root: &EventId,
) -> Result<Option<ThreadSubscription>> {
    let key = (user_id.to_string(), room, thread_root.to_string());
    Ok(Entity::find_by_id(key).one(db).await?)
}

/// Which of these users follow a thread, in no order. Look-ups by primary key, 256 a query.
pub async fn followers(
    db: &impl ConnectionTrait,
    room: RoomRow,
    thread_root: &EventId,
    users: &[&UserId],
) -> Result<Vec<String>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let mut found = Vec::new();
    for chunk in padded(&users) {
        let these = Entity::find()
            .select_only()
            .column(Column::UserId)
            .filter(Column::UserId.is_in(chunk))
            .filter(Column::Room.eq(room))
            .filter(Column::ThreadRoot.eq(thread_root.as_str()))
            .filter(Column::Subscribed.eq(true));
        found.extend(these.into_tuple::<String>().all(db).await?);
    }
    Ok(found)
}

/// What of a user's threads changed after `after` (exclusive) up to `to` (inclusive), the newest first, at most `limit`. One
/// query, on the index (user_id, position).
pub async fn changed(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<ThreadSubscription>> {
    let changed = Entity::find()
        .filter(Column::UserId.eq(user_id.as_str()))
        .filter(Column::Position.gt(after))
        .filter(Column::Position.lte(to))
        .order_by_desc(Column::Position)
        .limit(limit.get());
    Ok(changed.all(db).await?)
}
