//! Room aliases of this server.

use ruma::RoomAliasId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::{entity::alias, error::Result, id::RoomRow};

/// An alias as stored.
pub type StoredAlias = alias::Model;

/// Where the alias leads. One look-up by primary key.
pub async fn one(db: &impl ConnectionTrait, alias: &RoomAliasId) -> Result<Option<StoredAlias>> {
    Ok(alias::Entity::find_by_id(alias.to_string()).one(db).await?)
}

/// The aliases that lead to `room`, by name. One query, on the index (room).
pub async fn of_room(db: &impl ConnectionTrait, room: RoomRow) -> Result<Vec<StoredAlias>> {
    let aliases = alias::Entity::find()
        .filter(alias::Column::Room.eq(room))
        .order_by_asc(alias::Column::Alias);
    Ok(aliases.all(db).await?)
}
