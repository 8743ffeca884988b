//! Connections of sliding sync: what their clients have been sent.

use ruma::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entity::{
        sliding_connection::{Column, Entity, Model},
        sliding_room,
    },
    error::Result,
};

/// A connection as stored.
pub type StoredConnection = Model;

/// A room of a connection as stored.
pub type StoredRoom = sliding_room::Model;

/// The connection of this name. One look-up by primary key.
pub async fn find(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    device_id: &str,
    conn_id: &str,
) -> Result<Option<StoredConnection>> {
    let key = (
        user_id.to_string(),
        device_id.to_owned(),
        conn_id.to_owned(),
    );
    Ok(Entity::find_by_id(key).one(db).await?)
}

/// The rooms of the connection with this number, by room and generation. One query, on the primary key.
pub async fn rooms(db: &impl ConnectionTrait, number: i64) -> Result<Vec<StoredRoom>> {
    let rooms = sliding_room::Entity::find()
        .filter(sliding_room::Column::Number.eq(number))
        .order_by_asc(sliding_room::Column::Room)
        .order_by_asc(sliding_room::Column::Generation);
    Ok(rooms.all(db).await?)
}

/// The names of a device's connections, the one last written first. One query, on the primary key.
pub async fn of_device(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    device_id: &str,
) -> Result<Vec<String>> {
    let names = Entity::find()
        .select_only()
        .column(Column::ConnId)
        .filter(Column::UserId.eq(user_id.as_str()))
        .filter(Column::DeviceId.eq(device_id))
        .order_by_desc(Column::WrittenTs);
    Ok(names.into_tuple().all(db).await?)
}
