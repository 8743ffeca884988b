//! Redactions that have emptied nothing: their event is not here yet, or they may not.

use std::collections::BTreeSet;

use ruma::EventId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entity::pending_redaction::{Column, Entity},
    error::Result,
    id::{EventRow, RoomRow},
    padded::padded,
    page::Limit,
};

pub use crate::entity::pending_redaction::Model as PendingRedaction;

/// Those of `room` that wait for an event, by row. At most `limit`; fewer mean that there are no more. One query, on
/// the index (room).
pub async fn waiting_in(
    db: &impl ConnectionTrait,
    room: RoomRow,
    limit: Limit,
) -> Result<Vec<PendingRedaction>> {
    let waiting = Entity::find()
        .filter(Column::Room.eq(room))
        .filter(Column::Target.is_not_null())
        .order_by_asc(Column::Redaction)
        .limit(limit.get());
    Ok(waiting.all(db).await?)
}

/// Those of `room` that wait for one of these events, by row. Look-ups in the index (target), 256 a query.
pub async fn waiting_for(
    db: &impl ConnectionTrait,
    room: RoomRow,
    targets: &[&EventId],
) -> Result<Vec<PendingRedaction>> {
    let targets: Vec<_> = targets.iter().map(|target| target.as_str()).collect();
    let mut found = Vec::new();
    for chunk in padded(&targets) {
        let these = Entity::find()
            .filter(Column::Target.is_in(chunk))
            .filter(Column::Room.eq(room))
            .order_by_asc(Column::Redaction);
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// Those of these events that are redactions which have emptied nothing. Look-ups by primary key, 256 a query.
pub async fn pending_among(
    db: &impl ConnectionTrait,
    events: &[EventRow],
) -> Result<BTreeSet<EventRow>> {
    let mut found = BTreeSet::new();
    for chunk in padded(events) {
        let these = Entity::find()
            .select_only()
            .column(Column::Redaction)
            .filter(Column::Redaction.is_in(chunk));
        found.extend(these.into_tuple::<EventRow>().all(db).await?);
    }
    Ok(found)
}
