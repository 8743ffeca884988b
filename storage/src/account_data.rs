//! Account data: what clients keep on the server, for all rooms or for one.

use ruma::{RoomId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    entity::{
        account_data::{Column, Entity, GLOBAL, Model},
        room,
    },
    error::Result,
    id::{Position, RoomRow},
    padded::padded,
};

/// Account data as stored.
pub type StoredAccountData = Model;

impl StoredAccountData {
    /// The room that it belongs to; `None` for global data.
    #[must_use]
    pub fn room(&self) -> Option<RoomRow> {
        (self.room != GLOBAL).then_some(self.room)
    }
}

/// The content of one type, as JSON text; `room: None` for what belongs to no room.
pub async fn find(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    room: Option<RoomRow>,
    event_type: &str,
) -> Result<Option<String>> {
    let key = (
        user_id.to_string(),
        room.unwrap_or(GLOBAL),
        event_type.to_owned(),
    );
    Ok(Entity::find_by_id(key)
        .one(db)
        .await?
        .map(|row| row.content))
}

/// The global data of one type of these users, as JSON text; those who have none are left out. Look-ups by primary key,
/// 256 a query.
pub async fn of_users(
    db: &impl ConnectionTrait,
    users: &[&UserId],
    event_type: &str,
) -> Result<Vec<(String, String)>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let mut found = Vec::new();
    for chunk in padded(&users) {
        let these = Entity::find()
            .select_only()
            .columns([Column::UserId, Column::Content])
            .filter(Column::UserId.is_in(chunk))
            .filter(Column::Room.eq(GLOBAL))
            .filter(Column::EventType.eq(event_type));
        found.extend(these.into_tuple::<(String, String)>().all(db).await?);
    }
    Ok(found)
}

/// Which global types of a user begin with one of `prefixes` and have content. One query, on the primary key.
pub async fn types_with_prefixes(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    prefixes: &[&str],
) -> Result<Vec<String>> {
    let begins = |any: Condition, prefix: &&str| any.add(Column::EventType.starts_with(*prefix));
    Ok(Entity::find()
        .select_only()
        .column(Column::EventType)
        .filter(Column::UserId.eq(user_id.as_str()))
        .filter(Column::Room.eq(GLOBAL))
        .filter(prefixes.iter().fold(Condition::any(), begins))
        .filter(Column::Content.ne("{}"))
        .into_tuple()
        .all(db)
        .await?)
}

/// All account data of a user, global and of every room. One query.
pub async fn of_user(db: &impl ConnectionTrait, user_id: &UserId) -> Result<Vec<Model>> {
    Ok(Entity::find()
        .filter(Column::UserId.eq(user_id.as_str()))
        .all(db)
        .await?)
}

/// The data of one type of a user in these rooms, in no order. Look-ups by primary key, 256 a query.
pub async fn of_rooms(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    rooms: &[RoomRow],
    event_type: &str,
) -> Result<Vec<StoredAccountData>> {
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let these = Entity::find()
            .filter(Column::UserId.eq(user_id.as_str()))
            .filter(Column::Room.is_in(chunk))
            .filter(Column::EventType.eq(event_type));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// The row of a room, by which its account data is kept; `None` if the server does not know it.
pub async fn room_row(db: &impl ConnectionTrait, room_id: &RoomId) -> Result<Option<RoomRow>> {
    let row = room::Entity::find().filter(room::Column::RoomId.eq(room_id.as_str()));
    Ok(row
        .select_only()
        .column(room::Column::Id)
        .into_tuple()
        .one(db)
        .await?)
}

/// What of a user's data, global and of all rooms, changed after `from` (exclusive) up to `to`
/// (inclusive), oldest change first. One query, on the index (user_id, position).
pub async fn since(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    from: Position,
    to: Position,
) -> Result<Vec<StoredAccountData>> {
    let changed = Entity::find()
        .filter(Column::UserId.eq(user_id.as_str()))
        .filter(Column::Position.gt(from))
        .filter(Column::Position.lte(to))
        .order_by_asc(Column::Position);
    Ok(changed.all(db).await?)
}

/// All data of a user for `room`, or (`None`) all global data, by type. One query, on the primary
/// key.
pub async fn of_room(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    room: Option<RoomRow>,
) -> Result<Vec<StoredAccountData>> {
    let data = Entity::find()
        .filter(Column::UserId.eq(user_id.as_str()))
        .filter(Column::Room.eq(room.unwrap_or(GLOBAL)))
        .order_by_asc(Column::EventType);
    Ok(data.all(db).await?)
}
