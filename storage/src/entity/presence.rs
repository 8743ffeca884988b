//! Who was there, for the next start.

use sea_orm::entity::prelude::*;

/// A row of `presences`: a user who was there when it was written, or has said something of themselves.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "presences")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// What the user was.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// What the user said of it.
    #[sea_orm(column_type = "Text", nullable)]
    pub status_msg: Option<String>,
    /// When the user did something last, in ms.
    pub last_active_ts: Option<i64>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
