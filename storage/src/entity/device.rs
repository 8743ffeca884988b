//! The devices of local users.

use sea_orm::entity::prelude::*;

/// A row of `devices`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "devices")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// Its ID.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub device_id: String,
    /// Its name.
    #[sea_orm(column_type = "Text", nullable)]
    pub display_name: Option<String>,
    /// When it was made, in ms.
    pub created_ts: i64,
    /// When it was last used, in ms.
    pub last_seen_ts: Option<i64>,
    /// From where.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_seen_ip: Option<String>,
    /// With what.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_seen_user_agent: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
