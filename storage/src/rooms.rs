//! Which rooms there are, and where they stand.

use ruma::RoomId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    entity::room,
    error::Result,
    id::{EventRow, RoomRow},
    packed::unpack_events,
    padded::padded,
    page::Limit,
};

/// A room as stored.
pub type StoredRoom = room::Model;

impl StoredRoom {
    /// The forward extremities, as they were written.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt): the list is damaged.
    pub fn extremities(&self) -> Result<Vec<EventRow>> {
        unpack_events(&self.extremities)
    }
}

/// The room with this ID, if the server knows it. One look-up by a unique index.
pub async fn by_id(db: &impl ConnectionTrait, room_id: &RoomId) -> Result<Option<StoredRoom>> {
    let found = room::Entity::find().filter(room::Column::RoomId.eq(room_id.as_str()));
    Ok(found.one(db).await?)
}

/// The room in this row. One look-up by primary key.
pub async fn by_row(db: &impl ConnectionTrait, room: RoomRow) -> Result<Option<StoredRoom>> {
    Ok(room::Entity::find_by_id(room).one(db).await?)
}

/// The rooms in these rows, in no order; unknown ones are left out. Look-ups by primary key, 256 a
/// query.
pub async fn by_rows(db: &impl ConnectionTrait, rooms: &[RoomRow]) -> Result<Vec<StoredRoom>> {
    let mut found = Vec::with_capacity(rooms.len());
    for chunk in padded(rooms) {
        found.extend(
            room::Entity::find()
                .filter(room::Column::Id.is_in(chunk))
                .all(db)
                .await?,
        );
    }
    Ok(found)
}

/// Rooms that the directory lists, from behind the row `after` on, by row: one page.
///
/// At most `limit`; fewer mean that there are no more. Reads the rooms between the listed ones.
pub async fn published(
    db: &impl ConnectionTrait,
    after: RoomRow,
    limit: Limit,
) -> Result<Vec<StoredRoom>> {
    let listed = room::Entity::find()
        .filter(room::Column::Published.eq(true))
        .filter(room::Column::Id.gt(after))
        .order_by_asc(room::Column::Id)
        .limit(limit.get());
    Ok(listed.all(db).await?)
}

/// How many rooms the directory lists. Reads all rooms.
pub async fn published_count(db: &impl ConnectionTrait) -> Result<u64> {
    Ok(room::Entity::find()
        .filter(room::Column::Published.eq(true))
        .count(db)
        .await?)
}
