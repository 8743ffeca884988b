//! What users have reported to those who run the server.

use ruma::UserId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};

use crate::{
    entity::report::{Column, Entity, Model},
    error::Result,
    page::Limit,
};

/// A report as stored.
pub type Report = Model;

/// The reports with an id below `before`, newest first. One query, on the primary key.
pub async fn before(db: &impl ConnectionTrait, before: i64, limit: Limit) -> Result<Vec<Report>> {
    let reports = Entity::find()
        .filter(Column::Id.lt(before))
        .order_by_desc(Column::Id)
        .limit(limit.get());
    Ok(reports.all(db).await?)
}

/// Which reports of events are wanted; `None`: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfEvents {
    /// Of events in this room.
    pub room_id: Option<String>,
    /// By this user.
    pub reporter: Option<String>,
    /// Of events that this user has sent.
    pub sender: Option<String>,
    /// Whether the oldest come first.
    pub oldest_first: bool,
}

impl OfEvents {
    fn select(&self) -> Select<Entity> {
        let mut reports = Entity::find().filter(Column::EventId.is_not_null());
        for (column, wanted) in [
            (Column::RoomId, &self.room_id),
            (Column::Reporter, &self.reporter),
            (Column::UserId, &self.sender),
        ] {
            if let Some(wanted) = wanted {
                reports = reports.filter(column.eq(wanted));
            }
        }
        reports
    }
}

/// Reports of events, in the order in which they came, without the first `skip` of them. One query; its cost grows with all
/// reports.
pub async fn of_events(
    db: &impl ConnectionTrait,
    wanted: &OfEvents,
    skip: u64,
    limit: Limit,
) -> Result<Vec<Report>> {
    let reports = wanted.select().offset(skip).limit(limit.get());
    let reports = if wanted.oldest_first {
        reports.order_by_asc(Column::Id)
    } else {
        reports.order_by_desc(Column::Id)
    };
    Ok(reports.all(db).await?)
}

/// How many reports of events there are. One query; its cost grows with all reports.
pub async fn of_events_count(db: &impl ConnectionTrait, wanted: &OfEvents) -> Result<u64> {
    Ok(wanted.select().count(db).await?)
}

/// The report with this id. One look-up by primary key.
pub async fn by_id(db: &impl ConnectionTrait, id: i64) -> Result<Option<Report>> {
    Ok(Entity::find_by_id(id).one(db).await?)
}

/// How many reports a user has made since `since_ts` (inclusive, in ms). One query, on the index (reporter).
pub async fn count_since(
    db: &impl ConnectionTrait,
    reporter: &UserId,
    since_ts: i64,
) -> Result<u64> {
    let reports = Entity::find()
        .filter(Column::Reporter.eq(reporter.as_str()))
        .filter(Column::ReceivedTs.gte(since_ts));
    Ok(reports.count(db).await?)
}
