//! Events: by what they are called, and by where they stand.

use std::collections::HashSet;

use ruma::{EventId, OwnedEventId, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Func, Query},
};
use spec::{event::Event, room_version::RoomVersion};

use crate::{
    entity::{
        event::{self, Outcome},
        room,
    },
    error::{Error, Result},
    id::{EventRow, Position, RoomRow, StateKeyRow},
    padded::padded,
    page::Limit,
    write::Txn,
};

/// An event as stored.
pub type StoredEvent = event::Model;

impl StoredEvent {
    /// The transaction under which a client of this server sent it.
    #[must_use]
    pub fn txn(&self) -> Option<Txn> {
        Some(Txn {
            device: self.txn_device.clone()?,
            scope: self.txn_scope.clone()?,
            id: self.txn_id.clone()?,
        })
    }

    /// Its ID.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: what is stored is none.
    pub fn event_id(&self) -> Result<OwnedEventId> {
        OwnedEventId::try_from(self.event_id.as_str())
            .map_err(|error| Error::Corrupt(format!("event ID {}: {error}", self.event_id)))
    }

    /// The event itself; redacted, if it was.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: it is not an event of this room version.
    pub fn parse(&self, version: &RoomVersion) -> Result<Event> {
        let damaged =
            |why: String| Error::Corrupt(format!("event {} cannot be read: {why}", self.event_id));
        Event::from_stored(version, self.event_id()?, &self.json)
            .map_err(|e| damaged(e.to_string()))
    }
}

/// The event in this row. One look-up by primary key.
pub async fn by_row(db: &impl ConnectionTrait, event: EventRow) -> Result<Option<StoredEvent>> {
    Ok(event::Entity::find_by_id(event).one(db).await?)
}

/// The events in these rows, in no order; unknown ones are left out. Look-ups by primary key, 256 a
/// query.
pub async fn by_rows(db: &impl ConnectionTrait, events: &[EventRow]) -> Result<Vec<StoredEvent>> {
    let mut found = Vec::with_capacity(events.len());
    for chunk in padded(events) {
        found.extend(
            event::Entity::find()
                .filter(event::Column::Id.is_in(chunk))
                .all(db)
                .await?,
        );
    }
    Ok(found)
}

/// The longest JSON that [`some_of_state`] reads, in characters.
const STATE_JSON_MAX: i32 = 4_096;
/// How many events [`some_of_state`] reads of 256 rooms.
const STATE_EVENTS_MAX: u64 = 1_024;

/// Those of `rooms` that ever had an event in this place of their state, accepted, whose JSON is as `wanted`; and where that
/// would take too much reading (very many such events, or very long ones), those too of which it is not known. Along the index
/// (room, state_key), 256 rooms a query.
pub async fn some_of_state(
    db: &impl ConnectionTrait,
    rooms: &[RoomRow],
    key: StateKeyRow,
    wanted: impl Fn(&str) -> bool,
) -> Result<HashSet<RoomRow>> {
    let mut found = HashSet::new();
    for chunk in padded(rooms) {
        let json = Expr::col(event::Column::Json);
        let short = Expr::expr(Func::char_length(json.clone())).lte(STATE_JSON_MAX);
        let nothing = Expr::value(Option::<String>::None);
        let json: Expr = Expr::case(short, json).finally(nothing).into();
        let events = event::Entity::find()
            .select_only()
            .column(event::Column::Room)
            .column_as(json, "json")
            .filter(event::Column::Room.is_in(chunk.clone()))
            .filter(event::Column::StateKey.eq(key))
            .filter(event::Column::Outcome.eq(Outcome::Accepted))
            .limit(STATE_EVENTS_MAX);
        let events: Vec<(RoomRow, Option<String>)> = events.into_tuple().all(db).await?;
        if events.len() as u64 == STATE_EVENTS_MAX {
            found.extend(chunk);
            continue;
        }
        let is_wanted = |json: &Option<String>| json.as_deref().is_none_or(&wanted);
        let events = events.iter();
        found.extend(events.filter_map(|(room, json)| is_wanted(json).then_some(*room)));
    }
    Ok(found)
}

/// The event with this ID, whatever became of it. One look-up by a unique index.
pub async fn by_id(db: &impl ConnectionTrait, event_id: &EventId) -> Result<Option<StoredEvent>> {
    let found = event::Entity::find().filter(event::Column::EventId.eq(event_id.as_str()));
    Ok(found.one(db).await?)
}

/// The events with these IDs, in no order; unknown ones are left out. Look-ups by a unique index,
/// 256 a query.
pub async fn by_ids(db: &impl ConnectionTrait, event_ids: &[&EventId]) -> Result<Vec<StoredEvent>> {
    let event_ids: Vec<_> = event_ids.iter().map(|event_id| event_id.as_str()).collect();
    let mut found = Vec::with_capacity(event_ids.len());
    for chunk in padded(&event_ids) {
        let these = event::Column::EventId.is_in(chunk);
        found.extend(event::Entity::find().filter(these).all(db).await?);
    }
    Ok(found)
}

/// The IDs and rows of those of these events that are stored, in no order. Look-ups by a unique index, 256 a query.
pub async fn rows_by_ids(
    db: &impl ConnectionTrait,
    event_ids: &[&EventId],
) -> Result<Vec<(String, EventRow)>> {
    let event_ids: Vec<_> = event_ids.iter().map(|event_id| event_id.as_str()).collect();
    let mut found = Vec::with_capacity(event_ids.len());
    for chunk in padded(&event_ids) {
        let these = event::Entity::find()
            .select_only()
            .columns([event::Column::EventId, event::Column::Id])
            .filter(event::Column::EventId.is_in(chunk));
        found.extend(these.into_tuple::<(String, EventRow)>().all(db).await?);
    }
    Ok(found)
}

/// Accepted events of `room` that were news between `after` and `before` (both exclusive), newest first.
///
/// At most `limit`; fewer mean that there are no more. [`Position::ZERO`] as `after` reaches to the
/// first. One query, on the index (room, position). History is in [`crate::timeline`].
pub async fn page_back(
    db: &impl ConnectionTrait,
    room: RoomRow,
    after: Position,
    before: Position,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let page = between(room, after, before).order_by(event::Column::Position, Order::Desc);
    Ok(page.limit(limit.get()).all(db).await?)
}

/// The place of the newest accepted event of `room` that was news up to `to` (inclusive) and is of one of these types. One
/// query, on the index (room, position): its cost grows with what came after that event.
pub async fn last_of_types(
    db: &impl ConnectionTrait,
    room: RoomRow,
    to: Position,
    types: &[&str],
) -> Result<Option<Position>> {
    let before = Position(to.get().saturating_add(1));
    let last = between(room, Position::ZERO, before)
        .filter(event::Column::EventType.is_in(types.iter().copied()))
        .order_by(event::Column::Position, Order::Desc)
        .limit(1)
        .one(db)
        .await?;
    Ok(last.and_then(|event| event.position))
}

/// Accepted events of `room` that were news between `after` and `before` (both exclusive), oldest first.
///
/// At most `limit`; fewer mean that there are no more. One query, on the index (room, position).
pub async fn page_forward(
    db: &impl ConnectionTrait,
    room: RoomRow,
    after: Position,
    before: Position,
    limit: Limit,
) -> Result<Vec<StoredEvent>> {
    let page = between(room, after, before).order_by(event::Column::Position, Order::Asc);
    Ok(page.limit(limit.get()).all(db).await?)
}

fn between(room: RoomRow, after: Position, before: Position) -> Select<event::Entity> {
    event::Entity::find()
        .filter(event::Column::Room.eq(room))
        .filter(event::Column::Position.gt(std::cmp::max(after, Position::ZERO)))
        .filter(event::Column::Position.lt(before))
        .filter(event::Column::Outcome.eq(Outcome::Accepted))
}

/// The last accepted event of `room` that was news at or before `at`. One look-up on the index (room, position).
pub async fn latest(
    db: &impl ConnectionTrait,
    room: RoomRow,
    at: Position,
) -> Result<Option<StoredEvent>> {
    let last = event::Entity::find()
        .filter(event::Column::Room.eq(room))
        .filter(event::Column::Position.gt(Position::ZERO))
        .filter(event::Column::Position.lte(at))
        .filter(event::Column::Outcome.eq(Outcome::Accepted))
        .order_by(event::Column::Position, Order::Desc)
        .limit(1);
    Ok(last.one(db).await?)
}

/// The last accepted event of `room` with `state_key` at or before `at`: where one server orders
/// the room, its state then. One look-up on the index (room, state_key, position).
pub async fn latest_state(
    db: &impl ConnectionTrait,
    room: RoomRow,
    state_key: StateKeyRow,
    at: Position,
) -> Result<Option<StoredEvent>> {
    let last = event::Entity::find()
        .filter(event::Column::Room.eq(room))
        .filter(event::Column::StateKey.eq(state_key))
        .filter(event::Column::Position.lte(at))
        .filter(event::Column::Outcome.eq(Outcome::Accepted))
        .order_by(event::Column::Position, Order::Desc)
        .limit(1);
    Ok(last.one(db).await?)
}

/// Where in the log the last accepted event of each of `rooms` stands, in no order; rooms without news are left out. 256
/// rooms a query, each a look-up on the index (room, position).
pub async fn latest_positions(
    db: &impl ConnectionTrait,
    rooms: &[RoomRow],
) -> Result<Vec<(RoomRow, Position)>> {
    let mut latest = Vec::with_capacity(rooms.len());
    for chunk in padded(rooms) {
        let last = Query::select()
            .column((event::Entity, event::Column::Position))
            .from(event::Entity)
            .and_where(
                Expr::col((event::Entity, event::Column::Room))
                    .equals((room::Entity, room::Column::Id)),
            )
            .and_where(event::Column::Position.gt(Position::ZERO))
            .and_where(event::Column::Outcome.eq(Outcome::Accepted))
            .order_by((event::Entity, event::Column::Position), Order::Desc)
            .limit(1)
            .take();
        let these = room::Entity::find()
            .select_only()
            .column(room::Column::Id)
            .column_as(Expr::from(last), "last")
            .filter(room::Column::Id.is_in(chunk));
        let found: Vec<(RoomRow, Option<Position>)> = these.into_tuple().all(db).await?;
        latest.extend(
            found
                .into_iter()
                .filter_map(|(room, last)| Some((room, last?))),
        );
    }
    Ok(latest)
}

/// The event that `sender` sent with this transaction ID. One look-up by a unique index.
pub async fn by_txn(
    db: &impl ConnectionTrait,
    sender: &UserId,
    txn: &Txn,
) -> Result<Option<StoredEvent>> {
    let found = event::Entity::find()
        .filter(event::Column::Sender.eq(sender.as_str()))
        .filter(event::Column::TxnDevice.eq(&txn.device))
        .filter(event::Column::TxnScope.eq(&txn.scope))
        .filter(event::Column::TxnId.eq(&txn.id));
    Ok(found.one(db).await?)
}

/// The scopes and IDs of the transactions that `sender` has sent from a device, at most `limit`, in no order. One query, on
/// their unique index alone.
pub async fn txns(
    db: &impl ConnectionTrait,
    sender: &UserId,
    device: &str,
    limit: Limit,
) -> Result<Vec<(String, String)>> {
    let used = event::Entity::find()
        .select_only()
        .columns([event::Column::TxnScope, event::Column::TxnId])
        .filter(event::Column::Sender.eq(sender.as_str()))
        .filter(event::Column::TxnDevice.eq(device))
        .filter(event::Column::TxnId.is_not_null())
        .limit(limit.get());
    Ok(used.into_tuple().all(db).await?)
}
