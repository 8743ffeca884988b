//! What one transaction does, in which order.
//!
//! Rows that others refer to come first. Positions are taken late, because on PostgreSQL the row
//! of the counter is locked from then on; the rows that have them follow, and then what changes
//! such rows. Rows of one table are inserted together, whichever write they belong to.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait, OnConflict, Query},
};

use super::{
    directory_users, heads, ordered,
    prepared::{Prepared, Row},
    purge,
    rows::{Existing, delete, insert, update, values},
    summaries, texts,
};
use crate::{
    entity::{
        account_data, counter, event, membership, receipt, relation, room, searchable,
        self_destruct, snapshot, state_key, thread_subscription,
    },
    error::{Error, Result},
    id::{Position, RoomRow},
    write::{At, Logged, Place, Plain, RoomHead},
};

/// The counter of positions.
const POSITION: &str = "position";

/// The counter of negative positions, as positive numbers.
const HISTORY: &str = "history";

/// What the transaction will have done once committed.
pub(super) struct Outcome {
    /// For each write, the position of each entry.
    pub(super) positions: Vec<Vec<Option<Position>>>,
    /// The last position taken; `None` if none was.
    pub(super) last: Option<Position>,
    /// What is news.
    pub(super) changes: Vec<(Position, Arc<Logged>)>,
    /// The state keys that are stored now.
    pub(super) state_keys: Vec<state_key::Model>,
}

/// The last position that is committed.
pub(crate) async fn position(db: &impl ConnectionTrait) -> Result<Position> {
    let stored = counter::Entity::find_by_id(POSITION.to_owned())
        .one(db)
        .await?;
    Ok(stored.map_or(Position::ZERO, |counter| Position(counter.value)))
}

pub(super) async fn apply(
    db: &impl ConnectionTrait,
    writes: &mut [&mut Prepared],
    blocks: &[counter::Model],
) -> Result<Outcome> {
    for plain in writes.iter().flat_map(|write| &write.ordered) {
        ordered::apply(db, plain).await?;
    }
    let (state_keys, before) = foundations(db, writes).await?;
    let rows = blocks.iter().map(values).collect();
    insert::<counter::Entity>(db, Existing::IsReplaced(&[counter::Column::Name]), rows).await?;
    let (positions, last) = place(db, writes).await?;
    entries(db, writes).await?;
    memberships(db, writes, &positions, last).await?;
    let edited = texts::edited(db, writes).await?;
    for plain in writes.iter().flat_map(|write| &write.afterwards) {
        afterwards(db, plain).await?;
    }
    texts::refresh(db, &edited).await?;
    directory_users::apply(db, writes, &before).await?;
    Ok(Outcome {
        changes: changes(writes, &positions),
        positions,
        last,
        state_keys,
    })
}

/// Rows that others refer to. Returns the state keys, and what was so before.
async fn foundations(
    db: &impl ConnectionTrait,
    writes: &[&mut Prepared],
) -> Result<(Vec<state_key::Model>, summaries::Before)> {
    // Until its first commit a key comes with every write that uses it.
    let state_keys: BTreeMap<_, _> = writes
        .iter()
        .flat_map(|write| &write.state_keys)
        .map(|key| (key.id, key))
        .collect();
    let state_keys: Vec<_> = state_keys.into_values().cloned().collect();
    let rows = state_keys.iter().map(values).collect();
    insert::<state_key::Entity>(db, Existing::Stays(&[state_key::Column::Id]), rows).await?;

    let rows = writes
        .iter()
        .flat_map(|write| &write.rooms)
        .map(values)
        .collect();
    insert::<room::Entity>(db, Existing::Conflicts, rows).await?;

    let rows = writes
        .iter()
        .flat_map(|write| &write.snapshots)
        .map(values)
        .collect();
    insert::<snapshot::Entity>(db, Existing::Conflicts, rows).await?;

    let before = summaries::apply(db, writes).await?;

    // Where a room stands in the end is all that matters.
    let heads: BTreeMap<RoomRow, &RoomHead> = writes
        .iter()
        .flat_map(|write| &write.heads)
        .map(|head| (head.room, head))
        .collect();
    heads::update(db, heads.into_values()).await?;
    Ok((state_keys, before))
}

/// Takes positions and sets them in the rows. Also returns the last one, if there is any.
async fn place(
    db: &impl ConnectionTrait,
    writes: &mut [&mut Prepared],
) -> Result<(Vec<Vec<Option<Position>>>, Option<Position>)> {
    let count = |is: fn(Place) -> bool| {
        let entries = writes.iter().flat_map(|write| &write.logged);
        entries.filter(|entry| is(entry.place)).count()
    };
    let news = count(|place| place == Place::New);
    let history = count(|place| matches!(place, Place::History { .. }));
    let mut next_new = advance(db, POSITION, news).await?;
    let mut next_history = advance(db, HISTORY, history).await?;
    let mut positions = Vec::with_capacity(writes.len());
    for write in writes.iter_mut() {
        let mut of_write = Vec::with_capacity(write.logged.len());
        for entry in &mut write.logged {
            let position = match entry.place {
                Place::New => {
                    next_new += 1;
                    Some(Position(next_new))
                }
                Place::History { .. } => {
                    next_history += 1;
                    Some(Position(-next_history))
                }
                Place::Outlier => None,
            };
            let outgoing = position.filter(|_| entry.is_outgoing());
            match (&mut entry.row, position) {
                (Row::Event(row), _) => {
                    row.position = position;
                    row.outgoing = outgoing;
                }
                (Row::Receipt(row), Some(position)) => row.position = position,
                (Row::AccountData(row), Some(position)) => row.position = position,
                (Row::ThreadSubscription(row), Some(position)) => row.position = position,
                (Row::Receipt(_) | Row::AccountData(_) | Row::ThreadSubscription(_), None) => {}
            }
            if let (Some(relation), Some(position)) = (&mut entry.relation, position) {
                relation.stand_at(entry.place, position);
            }
            of_write.push(position);
        }
        positions.push(of_write);
    }
    Ok((positions, (news > 0).then_some(Position(next_new))))
}

/// Adds `by` to a counter; returns what it was before. On PostgreSQL this locks its row.
async fn advance(db: &impl ConnectionTrait, name: &str, by: usize) -> Result<i64> {
    if by == 0 {
        return Ok(0);
    }
    let by = i64::try_from(by).expect("a batch is small");
    let mut statement = Query::insert();
    statement
        .into_table(counter::Entity)
        .columns([counter::Column::Name, counter::Column::Value])
        .values_panic([Expr::val(name), Expr::val(by)])
        .on_conflict(
            OnConflict::column(counter::Column::Name)
                .value(
                    counter::Column::Value,
                    Expr::col((counter::Entity, counter::Column::Value)).add(by),
                )
                .to_owned(),
        )
        .returning_col(counter::Column::Value);
    let row = db.query_one(&statement).await?;
    let row = row.ok_or_else(|| Error::Corrupt(format!("the counter {name} does not count")))?;
    Ok(row.try_get_by_index::<i64>(0)? - by)
}

/// Stores what has a position. Of rows that replace each other the last one stays.
async fn entries(db: &impl ConnectionTrait, writes: &[&mut Prepared]) -> Result<()> {
    let mut events = Vec::new();
    let mut promoted = HashMap::new();
    let mut receipts = HashMap::new();
    let mut account_data = HashMap::new();
    let mut subscriptions = HashMap::new();
    for entry in writes.iter().flat_map(|write| &write.logged) {
        match &entry.row {
            Row::Event(row) if entry.is_promoted() => {
                promoted.insert(row.id, values(row));
            }
            Row::Event(row) => events.push(values(row)),
            Row::Receipt(row) => {
                receipts.insert((row.room, &row.user_id, &row.kind, &row.thread_id), row);
            }
            Row::AccountData(row) => {
                account_data.insert((&row.user_id, row.room, &row.event_type), row);
            }
            Row::ThreadSubscription(row) => {
                subscriptions.insert((&row.user_id, row.room, &row.thread_root), row);
            }
        }
    }
    insert::<event::Entity>(db, Existing::Conflicts, events).await?;
    let key = &[event::Column::Id];
    insert::<event::Entity>(
        db,
        Existing::IsReplaced(key),
        promoted.into_values().collect(),
    )
    .await?;
    let relations: BTreeMap<_, _> = writes
        .iter()
        .flat_map(|write| &write.logged)
        .filter_map(|entry| entry.relation.as_ref())
        .map(|relation| (relation.child, values(relation)))
        .collect();
    let key = &[relation::Column::Child];
    insert::<relation::Entity>(
        db,
        Existing::IsReplaced(key),
        relations.into_values().collect(),
    )
    .await?;

    let searchable = writes
        .iter()
        .flat_map(|write| &write.logged)
        .filter_map(|entry| entry.searchable.as_ref())
        .map(values)
        .collect();
    // Two events of one millisecond may share a moment, if four million others lie between them.
    let key = &[searchable::Column::Moment];
    insert::<searchable::Entity>(db, Existing::Stays(key), searchable).await?;

    let self_destructs = writes
        .iter()
        .flat_map(|write| &write.logged)
        .filter_map(|entry| entry.self_destruct.as_ref())
        .map(values)
        .collect();
    let key = &[self_destruct::Column::Event];
    insert::<self_destruct::Entity>(db, Existing::Stays(key), self_destructs).await?;

    let rows = receipts.into_values().map(values).collect();
    let key = &[
        receipt::Column::Room,
        receipt::Column::UserId,
        receipt::Column::Kind,
        receipt::Column::ThreadId,
    ];
    insert::<receipt::Entity>(db, Existing::IsReplaced(key), rows).await?;

    let rows = account_data.into_values().map(values).collect();
    let key = &[
        account_data::Column::UserId,
        account_data::Column::Room,
        account_data::Column::EventType,
    ];
    insert::<account_data::Entity>(db, Existing::IsReplaced(key), rows).await?;

    let rows = subscriptions.into_values().map(values).collect();
    let key = &[
        thread_subscription::Column::UserId,
        thread_subscription::Column::Room,
        thread_subscription::Column::ThreadRoot,
    ];
    insert::<thread_subscription::Entity>(db, Existing::IsReplaced(key), rows).await
}

async fn memberships(
    db: &impl ConnectionTrait,
    writes: &[&mut Prepared],
    positions: &[Vec<Option<Position>>],
    last: Option<Position>,
) -> Result<()> {
    let mut rows = HashMap::new();
    for (write, positions) in writes.iter().zip(positions) {
        for (at, row) in &write.memberships {
            let known = match at {
                At::Position(position) => Some(*position),
                At::Logged(index) => positions.get(*index).copied().flatten(),
            };
            let position = match known.or(last) {
                Some(position) => position,
                None => position(db).await?,
            };
            let row = membership::Model {
                position,
                ..row.clone()
            };
            rows.insert((row.room, row.user_id.clone()), row);
        }
    }
    let rows = rows.values().map(values).collect();
    let key = &[membership::Column::Room, membership::Column::UserId];
    insert::<membership::Entity>(db, Existing::IsReplaced(key), rows).await
}

/// Changes of rows that the batch may have made.
async fn afterwards(db: &impl ConnectionTrait, plain: &Plain) -> Result<()> {
    match plain {
        Plain::Redacted { event, by, json } => {
            let change = event::ActiveModel {
                id: Unchanged(*event),
                redacted_by: Set(Some(*by)),
                json: Set(json.clone()),
                ..Default::default()
            };
            update(db, change).await?;
            delete::<relation::Entity>(db, relation::Column::Child.eq(*event)).await?;
            delete::<self_destruct::Entity>(db, self_destruct::Column::Event.eq(*event)).await?;
            delete::<searchable::Entity>(db, searchable::Column::Event.eq(*event)).await
        }
        Plain::MemberBlanked {
            room,
            user_id,
            event,
        } => {
            let nothing = Expr::value(None::<String>);
            membership::Entity::update_many()
                .col_expr(membership::Column::Displayname, nothing.clone())
                .col_expr(membership::Column::AvatarUrl, nothing)
                .filter(membership::Column::Room.eq(*room))
                .filter(membership::Column::UserId.eq(user_id.as_str()))
                .filter(membership::Column::Event.eq(*event))
                .exec(db)
                .await?;
            Ok(())
        }
        Plain::EventsDeleted { room, events } => purge::events(db, *room, events).await,
        Plain::Gap { event, open } => {
            let change = event::ActiveModel {
                id: Unchanged(*event),
                gap: Set(Some(*open)),
                ..Default::default()
            };
            update(db, change).await.map(drop)
        }
        Plain::Forgotten { room, user_id } => {
            let change = membership::ActiveModel {
                room: Unchanged(*room),
                user_id: Unchanged(user_id.to_string()),
                forgotten: Set(true),
                ..Default::default()
            };
            update(db, change).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// What is news, in the order of the positions.
fn changes(
    writes: &[&mut Prepared],
    positions: &[Vec<Option<Position>>],
) -> Vec<(Position, Arc<Logged>)> {
    let mut changes = Vec::new();
    for (write, positions) in writes.iter().zip(positions) {
        for (entry, position) in write.logged.iter().zip(positions) {
            if let (Place::New, Some(position)) = (entry.place, position) {
                changes.push((*position, Arc::clone(&entry.announcement)));
            }
        }
    }
    changes
}
