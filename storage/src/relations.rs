//! Which events relate to which: children by their parents, and the other way round.

use std::collections::{HashMap, HashSet};

use ruma::{EventId, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};
use spec::relation::{ANNOTATION, REFERENCE, REPLACE, THREAD};

use crate::{
    entity::relation::{Column, Entity, Model},
    error::Result,
    events::rows_by_ids,
    id::{EventRow, Position, RoomRow, SnapshotRow},
    padded::padded,
    page::Limit,
    sql::Sql,
    timeline::Spot,
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
        .filter(Column::RelType.eq(ANNOTATION))
        .filter(Column::EventType.eq(event_type))
        .filter(Column::Room.eq(room))
        .limit(SAME_MAX);
    Ok(same.into_tuple().all(db).await?)
}

/// Which children of an event are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The event.
    pub parent: &'a EventId,
    /// How many relations may lie between the event and a child; 1 for none but its own.
    pub depth: u8,
    /// How a child relates to its own parent.
    pub rel_type: Option<&'a str>,
    /// The type of a child.
    pub event_type: Option<&'a str>,
}

/// Children of an event between two spots (inclusive), by their place in the timeline: the last first, or the first first
/// (`forward`).
///
/// At most `limit`; fewer mean that there are no more. One query, on the index (parent, …); its cost grows with all
/// children.
pub async fn children(
    db: &impl ConnectionTrait,
    room: RoomRow,
    wanted: Wanted<'_>,
    (first, last): (Spot, Spot),
    order: Order,
    limit: Limit,
) -> Result<Vec<Model>> {
    let mut sql = Sql::new(
        "WITH RECURSIVE related(child, event_id, depth) AS (
            SELECT child, event_id, 1 FROM relations WHERE parent = ",
    );
    sql.value(wanted.parent.as_str())
        .text(" AND room = ")
        .value(room)
        .text(
            " UNION SELECT r.child, r.event_id, related.depth + 1 FROM relations r
            JOIN related ON r.parent = related.event_id WHERE r.room = ",
        )
        .value(room)
        .text(" AND related.depth < ")
        .value(i64::from(wanted.depth))
        .text(") SELECT r.* FROM relations r WHERE r.child IN (SELECT child FROM related)");
    if let Some(rel_type) = wanted.rel_type {
        sql.text(" AND r.rel_type = ").value(rel_type);
    }
    if let Some(event_type) = wanted.event_type {
        sql.text(" AND r.type = ").value(event_type);
    }
    sql.text(" AND (r.anchor, r.rank, r.position) >= ")
        .spot(first)
        .text(" AND (r.anchor, r.rank, r.position) <= ")
        .spot(last)
        .text(match order {
            Order::FirstFirst => " ORDER BY r.anchor, r.rank, r.position LIMIT ",
            Order::LastFirst => " ORDER BY r.anchor DESC, r.rank DESC, r.position DESC LIMIT ",
        })
        .value(limit.get().cast_signed());
    let rows = sql.rows(db).await?;
    let models = rows.iter().map(|row| Model::from_query_result(row, ""));
    Ok(models.collect::<Result<_, _>>()?)
}

/// In which order events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As in the timeline.
    FirstFirst,
    /// Against it.
    LastFirst,
}

/// Children of one event that have a kind, a sender and the state before them in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The ID of the event.
    pub parent: String,
    /// How they relate.
    pub rel_type: String,
    /// Who sent them.
    pub sender: String,
    /// The state before them.
    pub snapshot: Option<SnapshotRow>,
    /// How many they are.
    pub count: i64,
}

/// The children of these events up to `horizon` (inclusive) that are aggregated: replies in threads, edits, references. In
/// no order. One query for 256 events, on the index (parent, rel_type, …).
pub async fn groups(
    db: &impl ConnectionTrait,
    room: RoomRow,
    parents: &[&EventId],
    horizon: Position,
) -> Result<Vec<Group>> {
    let mut found = Vec::new();
    for chunk in padded(&texts(parents)) {
        let these = Entity::find()
            .select_only()
            .columns([
                Column::Parent,
                Column::RelType,
                Column::Sender,
                Column::Snapshot,
            ])
            .column_as(Column::Child.count(), "count")
            .filter(Column::Parent.is_in(chunk))
            .filter(Column::RelType.is_in([THREAD, REPLACE, REFERENCE]))
            .filter(Column::Room.eq(room))
            .filter(Column::Anchor.lte(horizon))
            .group_by(Column::Parent)
            .group_by(Column::RelType)
            .group_by(Column::Sender)
            .group_by(Column::Snapshot);
        let rows = these.into_tuple::<(String, String, String, Option<SnapshotRow>, i64)>();
        let group = |(parent, rel_type, sender, snapshot, count)| Group {
            parent,
            rel_type,
            sender,
            snapshot,
            count,
        };
        found.extend(rows.all(db).await?.into_iter().map(group));
    }
    Ok(found)
}

/// Children that a reader does not see.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// Whose they are.
    pub senders: Vec<String>,
    /// The states before them.
    pub snapshots: Vec<SnapshotRow>,
    /// They stand behind this position.
    pub behind: Position,
}

impl Hidden {
    fn exclude(&self, sql: &mut Sql) {
        sql.text(" AND r.anchor <= ").value(self.behind);
        if !self.senders.is_empty() {
            sql.text(" AND r.sender NOT IN ").list(&self.senders);
        }
        if !self.snapshots.is_empty() {
            sql.text(" AND (r.snapshot IS NULL OR r.snapshot NOT IN ")
                .list(&self.snapshots)
                .text(")");
        }
    }
}

/// The last reply in the thread of each of these events that has one, but for hidden ones. One query for 256 events.
pub async fn latest_replies(
    db: &impl ConnectionTrait,
    roots: &[EventRow],
    hidden: &Hidden,
) -> Result<HashMap<EventRow, EventRow>> {
    let mut found = HashMap::new();
    for chunk in padded(roots) {
        let mut sql = Sql::new(
            "SELECT e.id, (SELECT r.child FROM relations r
                WHERE r.parent = e.event_id AND r.rel_type = 'm.thread' AND r.room = e.room",
        );
        hidden.exclude(&mut sql);
        sql.text(
            " ORDER BY r.anchor DESC, r.rank DESC, r.position DESC LIMIT 1)
            FROM events e WHERE e.id IN ",
        )
        .list(&chunk);
        for row in sql.rows(db).await? {
            if let Some(reply) = row.try_get_by_index::<Option<EventRow>>(1)? {
                found.insert(row.try_get_by_index(0)?, reply);
            }
        }
    }
    Ok(found)
}

/// The edit that counts of each of these events that has one, but for hidden ones: the last one by its own time, of those
/// with the same time that with the largest ID (client-server API, "Server-side aggregation of m.replace relationships").
/// Two queries for 256 events.
pub async fn latest_edits(
    db: &impl ConnectionTrait,
    originals: &[EventRow],
    hidden: &Hidden,
) -> Result<HashMap<EventRow, EventRow>> {
    let mut found = HashMap::new();
    for chunk in padded(originals) {
        let mut sql = Sql::new(
            "SELECT e.id, e.event_id, e.sender, e.type, MAX(r.edit_ts) FROM events e
            JOIN relations r ON r.parent = e.event_id AND r.rel_type = 'm.replace'
            AND r.room = e.room AND r.sender = e.sender AND r.type = e.type
            AND r.edit_ts IS NOT NULL AND e.state_key IS NULL AND e.redacted_by IS NULL",
        );
        hidden.exclude(&mut sql);
        sql.text(" WHERE e.id IN ").list(&chunk).text(
            " AND NOT EXISTS (SELECT 1 FROM relations o
                WHERE o.child = e.id AND o.rel_type = 'm.replace')
            GROUP BY e.id, e.event_id, e.sender, e.type",
        );
        let mut last = HashMap::new();
        for row in sql.rows(db).await? {
            let original: EventRow = row.try_get_by_index(0)?;
            let whose: (String, String) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let ts: i64 = row.try_get_by_index(4)?;
            last.insert(row.try_get_by_index::<String>(1)?, (original, whose, ts));
        }
        let times: Vec<i64> = last.values().map(|(_, _, ts)| *ts).collect();
        let parents: Vec<String> = last.keys().cloned().collect();
        for (parents, times) in padded(&parents).zip(padded(&times)) {
            let edits = Entity::find()
                .filter(Column::Parent.is_in(parents))
                .filter(Column::RelType.eq(REPLACE))
                .filter(Column::EditTs.is_in(times))
                .order_by_asc(Column::Child);
            let mut edits = edits.all(db).await?;
            edits.sort_by(|one, other| one.event_id.cmp(&other.event_id));
            for edit in edits {
                if let Some((original, (sender, event_type), ts)) = last.get(&edit.parent)
                    && edit.edit_ts == Some(*ts)
                    && (&edit.sender, &edit.event_type) == (sender, event_type)
                {
                    found.insert(*original, edit.child);
                }
            }
        }
    }
    Ok(found)
}

/// The IDs of the last events that refer to each of these, by the ID of that, in the order of the timeline. At most `limit`
/// of each. One query for 256 events.
pub async fn references(
    db: &impl ConnectionTrait,
    room: RoomRow,
    parents: &[&EventId],
    hidden: &Hidden,
    limit: Limit,
) -> Result<HashMap<String, Vec<String>>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for chunk in padded(&texts(parents)) {
        let mut sql = Sql::new(
            "SELECT parent, event_id FROM (SELECT r.parent, r.event_id, ROW_NUMBER() OVER
                (PARTITION BY r.parent ORDER BY r.anchor DESC, r.rank DESC, r.position DESC) AS place
                FROM relations r WHERE r.rel_type = 'm.reference' AND r.room = ",
        );
        sql.value(room);
        hidden.exclude(&mut sql);
        sql.text(" AND r.parent IN ")
            .list(&chunk)
            .text(") AS placed WHERE place <= ")
            .value(limit.get().cast_signed())
            .text(" ORDER BY place DESC");
        for row in sql.rows(db).await? {
            let of: &mut Vec<String> = found.entry(row.try_get_by_index(0)?).or_default();
            of.push(row.try_get_by_index(1)?);
        }
    }
    Ok(found)
}

/// Those of these events to which others relate in one of these ways (`None`: in any), sent by one of these users (`None`: by
/// anybody). One query for 256 events.
pub async fn related_among(
    db: &impl ConnectionTrait,
    room: RoomRow,
    parents: &[&EventId],
    rel_types: Option<&[String]>,
    senders: Option<&[String]>,
) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for chunk in padded(&texts(parents)) {
        let mut these = Entity::find()
            .select_only()
            .column(Column::Parent)
            .distinct()
            .filter(Column::Parent.is_in(chunk))
            .filter(Column::Room.eq(room));
        if let Some(rel_types) = rel_types {
            these = these.filter(Column::RelType.is_in(rel_types));
        }
        if let Some(senders) = senders {
            these = these.filter(Column::Sender.is_in(senders));
        }
        found.extend(these.into_tuple::<String>().all(db).await?);
    }
    Ok(found)
}

/// The roots of threads of `room`, by their last reply up to `before` (inclusive), last first; of those only in which
/// `participant` has spoken, if there is one.
///
/// At most `limit`; fewer mean that there are no more. One query, on the index (room, …) of replies; its cost grows with
/// the replies that are passed over.
pub async fn threads(
    db: &impl ConnectionTrait,
    room: RoomRow,
    (before, horizon): (Spot, Position),
    participant: Option<&UserId>,
    limit: Limit,
) -> Result<Vec<(String, Spot)>> {
    let mut sql = Sql::new(
        "SELECT r.parent, r.anchor, r.rank, r.position FROM relations r
        WHERE r.rel_type = 'm.thread' AND r.room = ",
    );
    sql.value(room)
        .text(" AND (r.anchor, r.rank, r.position) <= ")
        .spot(before)
        .text(
            " AND NOT EXISTS (SELECT 1 FROM relations n WHERE n.parent = r.parent
                AND n.rel_type = 'm.thread' AND n.room = r.room
                AND (n.anchor, n.rank, n.position) > (r.anchor, r.rank, r.position)
                AND n.anchor <= ",
        )
        .value(horizon)
        .text(")");
    if let Some(user) = participant {
        sql.text(
            " AND (EXISTS (SELECT 1 FROM relations p WHERE p.parent = r.parent
                AND p.rel_type = 'm.thread' AND p.room = r.room AND p.sender = ",
        )
        .value(user.as_str())
        .text(") OR EXISTS (SELECT 1 FROM events e WHERE e.event_id = r.parent AND e.sender = ")
        .value(user.as_str())
        .text("))");
    }
    sql.text(" ORDER BY r.anchor DESC, r.rank DESC, r.position DESC LIMIT ")
        .value(limit.get().cast_signed());
    let mut found = Vec::new();
    for row in sql.rows(db).await? {
        let spot = Spot {
            anchor: row.try_get_by_index(1)?,
            rank: row.try_get_by_index(2)?,
            position: row.try_get_by_index(3)?,
        };
        found.push((row.try_get_by_index(0)?, spot));
    }
    Ok(found)
}

fn texts<'a>(event_ids: &[&'a EventId]) -> Vec<&'a str> {
    event_ids.iter().map(|event_id| event_id.as_str()).collect()
}
