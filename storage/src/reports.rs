//! What users have reported to those who run the server.

use ruma::UserId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
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
