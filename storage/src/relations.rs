//! Which events relate to which: children by their parents, and the other way round.

use ruma::{EventId, UserId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::{
    entity::relation::{Column, Entity, Model},
    error::Result,
    events::rows_by_ids,
    id::{EventRow, RoomRow},
    padded::padded,
};

/// A relation as stored.
pub type StoredRelation = Model;

/// What these events relate to, in no order; those that relate to nothing are left out. Look-ups by primary key, 256 a
/// query.
pub async fn of_rows(db: &impl ConnectionTrait, events: &[EventRow]) -> Result<Vec<Model>> {
    let mut found = Vec::new();
    for chunk in padded(events) {
        let these = Entity::find().filter(Column::Child.is_in(chunk));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// The same for events that are known by their IDs. Two queries for 256 events.
pub async fn of_ids(db: &impl ConnectionTrait, event_ids: &[&EventId]) -> Result<Vec<Model>> {
    let rows = rows_by_ids(db, event_ids).await?;
    let rows: Vec<EventRow> = rows.into_iter().map(|(_, row)| row).collect();
    of_rows(db, &rows).await
}

/// The events with which `sender` has annotated `parent` by this type and key. There are several only where another server
/// sent some. One query, on the index (parent, sender, annotation).
pub async fn annotations(
    db: &impl ConnectionTrait,
    room: RoomRow,
    parent: &EventId,
    (sender, event_type, key): (&UserId, &str, &str),
) -> Result<Vec<EventRow>> {
    /// How many are looked at.
    const SAME_MAX: u64 = 16;
    let same = Entity::find()
        .select_only()
        .column(Column::Child)
        .filter(Column::Parent.eq(parent.as_str()))
        .filter(Column::Sender.eq(sender.as_str()))
        .filter(Column::Annotation.eq(key))
        .filter(Column::RelType.eq(spec::relation::ANNOTATION))
        .filter(Column::EventType.eq(event_type))
        .filter(Column::Room.eq(room))
        .limit(SAME_MAX);
    Ok(same.into_tuple().all(db).await?)
}
