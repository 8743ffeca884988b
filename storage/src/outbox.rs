//! What other servers still have to get, as far as it is kept: a row for each server that is behind, and for
//! all others together one position up to which they have everything.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::{
    entity::{counter, destination, event},
    error::Result,
    events::StoredEvent,
    id::{EventRow, Position, RoomRow, SnapshotRow},
    page::Limit,
};

/// A server that is behind.
pub type Destination = destination::Model;

/// The counter of the position up to which all servers without a row of their own have everything.
pub(crate) const FLOOR: &str = "outbox";

/// All servers that are behind.
pub async fn behind(db: &impl ConnectionTrait) -> Result<Vec<Destination>> {
    Ok(destination::Entity::find().all(db).await?)
}

/// Up to where all servers that are not behind have everything; `None` if nothing was ever sent.
pub async fn floor(db: &impl ConnectionTrait) -> Result<Option<Position>> {
    let found = counter::Entity::find_by_id(FLOOR).one(db).await?;
    Ok(found.map(|counter| Position(counter.value)))
}

/// The events that this server brings to others, after `after` (exclusive) up to `to` (inclusive), oldest first, at most
/// `limit`. One query, on the index (outgoing, room).
pub async fn outgoing(
    db: &impl ConnectionTrait,
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let outgoing = event::Entity::find()
        .filter(event::Column::Outgoing.gt(after))
        .filter(event::Column::Outgoing.lte(to))
        .order_by_asc(event::Column::Outgoing)
        .limit(limit.get());
    Ok(outgoing.all(db).await?)
}

/// An outgoing event, without what it says.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct OutgoingEvent {
    /// Our number for it.
    pub id: EventRow,
    /// Its room.
    pub room: RoomRow,
    /// Its place in the log.
    pub outgoing: Position,
    /// The room's current state once the event had been taken in.
    pub current: Option<SnapshotRow>,
    /// Who sent it.
    pub sender: String,
    /// Its type.
    #[sea_orm(from_alias = "type")]
    pub event_type: String,
}

/// The same without what the events say: for finding those that one server has missed.
pub async fn outgoing_events(
    db: &impl ConnectionTrait,
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<OutgoingEvent>> {
    let outgoing = event::Entity::find()
        .select_only()
        .columns([
            event::Column::Id,
            event::Column::Room,
            event::Column::Outgoing,
            event::Column::Current,
            event::Column::Sender,
            event::Column::EventType,
        ])
        .filter(event::Column::Outgoing.gt(after))
        .filter(event::Column::Outgoing.lte(to))
        .order_by_asc(event::Column::Outgoing)
        .limit(limit.get());
    Ok(outgoing.into_model().all(db).await?)
}

/// The rooms with outgoing events after `after` (exclusive) up to `to` (inclusive), how many, and the place of the last
/// one, in no order. One query, on the index (outgoing, room) alone: its cost grows with the events in between.
pub async fn outgoing_rooms(
    db: &impl ConnectionTrait,
    after: Position,
    to: Position,
) -> Result<Vec<OutgoingRoom>> {
    let rooms = event::Entity::find()
        .select_only()
        .column(event::Column::Room)
        .column_as(event::Column::Outgoing.count(), "count")
        .column_as(event::Column::Outgoing.max(), "last")
        .filter(event::Column::Outgoing.gt(after))
        .filter(event::Column::Outgoing.lte(to))
        .group_by(event::Column::Room);
    Ok(rooms.into_model().all(db).await?)
}

/// What is outgoing in one room.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct OutgoingRoom {
    /// The room.
    pub room: RoomRow,
    /// How many events.
    pub count: i64,
    /// The place of the last one.
    pub last: Position,
}
