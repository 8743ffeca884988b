//! Deleting: of messages that have had their time, and of rooms that nobody here wants to see any more.
//!
//! A room goes in steps, so that no transaction is long. The first one takes its name and all by which users of this server
//! come upon it; from then on it is unknown. The last one takes its row, once nothing else is left.

use ruma::ServerName;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{ExprTrait, Query},
};

use super::rows::{delete, update};
use crate::{
    entity::{
        account_data, alias, delayed_event, event, membership, notification, pending_redaction,
        purge, reading, receipt, relation, room, searchable, self_destruct, snapshot, staged_event,
        summary, thread_subscription,
    },
    error::Result,
    id::{EventRow, RoomRow},
    padded::padded,
};

/// How many rows of each table one step deletes: some ten milliseconds.
const STEP: u64 = 500;

/// Deletes events, and all that is kept of them elsewhere.
pub(super) async fn events(
    db: &impl ConnectionTrait,
    room: RoomRow,
    events: &[EventRow],
) -> Result<()> {
    for chunk in padded(events) {
        let of_room = notification::Column::Room.eq(room);
        let these = notification::Column::Event.is_in(chunk.iter().copied());
        delete::<notification::Entity>(db, of_room.and(these)).await?;
        let these = pending_redaction::Column::Redaction.is_in(chunk.iter().copied());
        delete::<pending_redaction::Entity>(db, these).await?;
        let these = relation::Column::Child.is_in(chunk.iter().copied());
        delete::<relation::Entity>(db, these).await?;
        let these = searchable::Column::Event.is_in(chunk.iter().copied());
        delete::<searchable::Entity>(db, these).await?;
        let these = self_destruct::Column::Event.is_in(chunk.iter().copied());
        delete::<self_destruct::Entity>(db, these).await?;
        delete::<event::Entity>(db, event::Column::Id.is_in(chunk)).await?;
    }
    Ok(())
}

/// Takes the name of a room, and all by which users of `server` come upon it.
pub(super) async fn begin(
    db: &impl ConnectionTrait,
    room: RoomRow,
    server: &ServerName,
) -> Result<()> {
    let renamed = room::ActiveModel {
        id: Unchanged(room),
        // No user can come upon it, but it is well-formed: what still knows the row goes on to find a room.
        room_id: Set(format!("!gone-{room}:{server}")),
        ..Default::default()
    };
    update(db, renamed).await?;
    let going = purge::ActiveModel {
        room: Unchanged(room),
        going: Set(true),
        ..Default::default()
    };
    update(db, going).await?;
    let users = Query::select()
        .column(membership::Column::UserId)
        .from(membership::Entity)
        .and_where(membership::Column::Room.eq(room))
        .and_where(membership::Column::Server.eq(server.as_str()))
        .take();
    let own = |user: sea_orm::sea_query::SimpleExpr, of_room: sea_orm::sea_query::SimpleExpr| {
        Condition::all().add(user).add(of_room)
    };
    use account_data::Column as Data;
    let it = own(Data::UserId.in_subquery(users.clone()), Data::Room.eq(room));
    delete::<account_data::Entity>(db, it).await?;
    use reading::Column as Reading;
    let it = own(
        Reading::UserId.in_subquery(users.clone()),
        Reading::Room.eq(room),
    );
    delete::<reading::Entity>(db, it).await?;
    use thread_subscription::Column as Subscription;
    let it = own(
        Subscription::UserId.in_subquery(users),
        Subscription::Room.eq(room),
    );
    delete::<thread_subscription::Entity>(db, it).await?;
    delete::<notification::Entity>(db, notification::Column::Room.eq(room)).await?;
    delete::<delayed_event::Entity>(db, delayed_event::Column::Room.eq(room)).await?;
    delete::<staged_event::Entity>(db, staged_event::Column::Room.eq(room)).await?;
    delete::<alias::Entity>(db, alias::Column::Room.eq(room)).await?;
    let of_room = membership::Column::Room.eq(room);
    let own = membership::Column::Server.eq(server.as_str());
    delete::<membership::Entity>(db, of_room.and(own)).await
}

/// Deletes some of what is left of a room that is going, and the room once nothing is.
pub(super) async fn step(db: &impl ConnectionTrait, room: RoomRow) -> Result<()> {
    let state = event::Entity::find().filter(event::Column::StateKey.is_not_null());
    let others = event::Entity::find().filter(event::Column::StateKey.is_null());
    let mut rows: Vec<EventRow> = Vec::new();
    for some in [state, others] {
        let some = some
            .select_only()
            .column(event::Column::Id)
            .filter(event::Column::Room.eq(room))
            .limit(STEP);
        rows.extend(some.into_tuple::<EventRow>().all(db).await?);
    }
    events(db, room, &rows).await?;

    let members = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::Room.eq(room))
        .order_by_asc(membership::Column::UserId)
        .limit(STEP);
    let members: Vec<String> = members.into_tuple().all(db).await?;
    if let Some(last) = members.last() {
        let these = membership::Column::UserId.lte(last);
        delete::<membership::Entity>(db, membership::Column::Room.eq(room).and(these)).await?;
    }

    let readers = receipt::Entity::find()
        .select_only()
        .column(receipt::Column::UserId)
        .filter(receipt::Column::Room.eq(room))
        .order_by_asc(receipt::Column::UserId)
        .limit(STEP);
    let readers: Vec<String> = readers.into_tuple().all(db).await?;
    if let Some(last) = readers.last() {
        let these = receipt::Column::UserId.lte(last);
        delete::<receipt::Entity>(db, receipt::Column::Room.eq(room).and(these)).await?;
    }

    let lists = snapshot::Entity::find()
        .select_only()
        .column(snapshot::Column::Id)
        .filter(snapshot::Column::Room.eq(room))
        .limit(STEP);
    let lists: Vec<crate::SnapshotRow> = lists.into_tuple().all(db).await?;
    for chunk in padded(&lists) {
        delete::<snapshot::Entity>(db, snapshot::Column::Id.is_in(chunk)).await?;
    }
    if rows.is_empty() && members.is_empty() && readers.is_empty() && lists.is_empty() {
        delete::<pending_redaction::Entity>(db, pending_redaction::Column::Room.eq(room)).await?;
        delete::<summary::Entity>(db, summary::Column::Room.eq(room)).await?;
        delete::<purge::Entity>(db, purge::Column::Room.eq(room)).await?;
        delete::<room::Entity>(db, room::Column::Id.eq(room)).await?;
    }
    Ok(())
}
