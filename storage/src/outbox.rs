//! What other servers still have to get, as far as it is kept: a row for each server that is behind, and for
//! all others together one position up to which they have everything.

use ruma::ServerName;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entity::{
        counter, destination,
        event::{self, Outcome},
        membership::{self, Membership},
    },
    error::Result,
    events::StoredEvent,
    id::{Position, RoomRow},
    padded::padded,
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

/// Accepted events that users of `server` sent after `after` (exclusive) up to `to` (inclusive), oldest first, at
/// most `limit`. One query, on the index (position): its cost grows with all events in between.
pub async fn sent_by(
    db: &impl ConnectionTrait,
    server: &ServerName,
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let sent = sent(server, after, to).limit(limit.get());
    Ok(sent.all(db).await?)
}

/// The same of these rooms only.
pub async fn sent_by_in(
    db: &impl ConnectionTrait,
    server: &ServerName,
    rooms: &[RoomRow],
    after: Position,
    to: Position,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let sent = sent(server, after, to)
            .filter(event::Column::Room.is_in(chunk))
            .limit(limit.get());
        found.extend(sent.all(db).await?);
    }
    Ok(found)
}

fn sent(server: &ServerName, after: Position, to: Position) -> sea_orm::Select<event::Entity> {
    event::Entity::find()
        .filter(event::Column::Position.gt(after))
        .filter(event::Column::Position.lte(to))
        .filter(event::Column::Sender.ends_with(format!(":{server}")))
        .filter(event::Column::Outcome.eq(Outcome::Accepted))
        .order_by_asc(event::Column::Position)
}

/// The rooms in which users of `server` are joined. One query, on the index (server, membership, room).
pub async fn rooms_of(db: &impl ConnectionTrait, server: &ServerName) -> Result<Vec<RoomRow>> {
    let rooms = membership::Entity::find()
        .select_only()
        .column(membership::Column::Room)
        .distinct()
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Membership.eq(Membership::Join));
    Ok(rooms.into_tuple().all(db).await?)
}

/// The member events that made users of `server` leave rooms after `after`. One query, on the index
/// (server, membership, room): its cost grows with all whom that server has lost.
pub async fn removals(
    db: &impl ConnectionTrait,
    server: &ServerName,
    after: Position,
) -> Result<Vec<crate::EventRow>> {
    let removed = membership::Entity::find()
        .select_only()
        .column(membership::Column::Event)
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Membership.is_in([Membership::Leave, Membership::Ban]))
        .filter(membership::Column::Position.gt(after));
    Ok(removed.into_tuple().all(db).await?)
}
