//! Which rooms there are, and where they stand.

use ruma::RoomId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::{
    entity::room,
    error::Result,
    id::{EventRow, RoomRow},
    packed::unpack_events,
    padded::padded,
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

/// The rooms with these IDs, in no order; unknown ones are left out. Look-ups by a unique index, 256 a query.
pub async fn by_ids(db: &impl ConnectionTrait, room_ids: &[&str]) -> Result<Vec<StoredRoom>> {
    let mut found = Vec::with_capacity(room_ids.len());
    for chunk in padded(room_ids) {
        let these = room::Entity::find().filter(room::Column::RoomId.is_in(chunk));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// The rooms of other versions than these, in no order. One query, through all rooms.
pub async fn of_other_versions(
    db: &impl ConnectionTrait,
    versions: &[&str],
) -> Result<Vec<RoomRow>> {
    let rooms = room::Entity::find()
        .select_only()
        .column(room::Column::Id)
        .filter(room::Column::Version.is_not_in(versions.iter().copied()));
    Ok(rooms.into_tuple().all(db).await?)
}
