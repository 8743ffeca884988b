//! What users have reported to those who run the server.

use sea_orm::entity::prelude::*;

/// A row of `reports`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reports")]
pub struct Model {
    /// Counts up.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// When it came, in ms.
    pub received_ts: i64,
    /// Who reports.
    #[sea_orm(column_type = "Text")]
    pub reporter: String,
    /// The room, or that of the event; `None` for a user.
    #[sea_orm(column_type = "Text", nullable)]
    pub room_id: Option<String>,
    /// The event, if it is one.
    #[sea_orm(column_type = "Text", nullable)]
    pub event_id: Option<String>,
    /// The user, or the sender of the event.
    #[sea_orm(column_type = "Text", nullable)]
    pub user_id: Option<String>,
    /// Why.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// How bad it is, from -100 (most) to 0, as clients of before 2025 say it.
    pub score: Option<i64>,
    /// The event as it was: a redaction does not take it from those who judge.
    #[sea_orm(column_type = "Text", nullable)]
    pub event_json: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
