//! How far users have read.

use ruma::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entity::receipt,
    error::Result,
    id::{Position, RoomRow},
    padded::padded,
    page::Limit,
};

/// A receipt as stored.
pub type StoredReceipt = receipt::Model;

/// The receipts of `rooms` that were sent after `from` (exclusive) up to `to` (inclusive), by room
/// and position; only the newest of each user, kind and thread is stored.
///
/// 256 rooms a query, on the index (room, position).
pub async fn since(
    db: &impl ConnectionTrait,
    rooms: &[RoomRow],
    from: Position,
    to: Position,
) -> Result<Vec<StoredReceipt>> {
    let mut receipts = Vec::new();
    for chunk in padded(rooms) {
        let these = receipt::Entity::find()
            .filter(receipt::Column::Room.is_in(chunk))
            .filter(receipt::Column::Position.gt(from))
            .filter(receipt::Column::Position.lte(to))
            .order_by_asc(receipt::Column::Room)
            .order_by_asc(receipt::Column::Position);
        receipts.extend(these.all(db).await?);
    }
    Ok(receipts)
}

/// All receipts that were sent after `from` (exclusive) up to `to` (inclusive), in any room, by
/// position.
///
/// One query, on the index (position): for asking what changed without naming rooms.
pub async fn changed(
    db: &impl ConnectionTrait,
    from: Position,
    to: Position,
) -> Result<Vec<StoredReceipt>> {
    let receipts = receipt::Entity::find()
        .filter(receipt::Column::Position.gt(from))
        .filter(receipt::Column::Position.lte(to))
        .order_by_asc(receipt::Column::Position);
    Ok(receipts.all(db).await?)
}

/// The last receipts of all, in any room, newest first, at most `limit`. One query, on the index (position).
pub async fn latest(db: &impl ConnectionTrait, limit: Limit) -> Result<Vec<StoredReceipt>> {
    let receipts = receipt::Entity::find()
        .order_by_desc(receipt::Column::Position)
        .limit(limit.get());
    Ok(receipts.all(db).await?)
}

/// Receipts that were sent after `from` (exclusive), in any room, by position, at most `limit`: one page of what a server
/// has missed. One query, on the index (position).
pub async fn page_after(
    db: &impl ConnectionTrait,
    from: Position,
    limit: Limit,
) -> Result<Vec<StoredReceipt>> {
    let receipts = receipt::Entity::find()
        .filter(receipt::Column::Position.gt(from))
        .order_by_asc(receipt::Column::Position)
        .limit(limit.get());
    Ok(receipts.all(db).await?)
}

/// The receipts of these users in `room`, of all kinds and threads, in no order. 256 users a query, on the primary key.
pub async fn of_users(
    db: &impl ConnectionTrait,
    room: RoomRow,
    users: &[&UserId],
) -> Result<Vec<StoredReceipt>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let mut found = Vec::new();
    for chunk in padded(&users) {
        let these = receipt::Entity::find()
            .filter(receipt::Column::Room.eq(room))
            .filter(receipt::Column::UserId.is_in(chunk));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// The receipts of one user in `room`, of all kinds and threads. One query, on the primary key.
pub async fn of_user(
    db: &impl ConnectionTrait,
    room: RoomRow,
    user_id: &UserId,
) -> Result<Vec<StoredReceipt>> {
    let receipts = receipt::Entity::find()
        .filter(receipt::Column::Room.eq(room))
        .filter(receipt::Column::UserId.eq(user_id.as_str()));
    Ok(receipts.all(db).await?)
}

/// The receipts of one user in these rooms, of all kinds and threads, in no order. 256 rooms a query, on the primary key.
pub async fn of_user_in(
    db: &impl ConnectionTrait,
    rooms: &[RoomRow],
    user_id: &UserId,
) -> Result<Vec<StoredReceipt>> {
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let these = receipt::Entity::find()
            .filter(receipt::Column::Room.is_in(chunk))
            .filter(receipt::Column::UserId.eq(user_id.as_str()));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// The receipts that say that somebody has read up to one of these events, in no order. 256 events a query, on the index
/// (event_id).
pub async fn of_events(
    db: &impl ConnectionTrait,
    event_ids: &[&str],
) -> Result<Vec<StoredReceipt>> {
    let mut found = Vec::new();
    for chunk in padded(event_ids) {
        let these = receipt::Entity::find().filter(receipt::Column::EventId.is_in(chunk));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}
