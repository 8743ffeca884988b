//! Other servers that do not have yet what this one has for them.

use sea_orm::entity::prelude::*;

use crate::id::Position;

/// A row of `destinations`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "destinations")]
pub struct Model {
    /// Which server.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub server: String,
    /// It has everything up to here.
    pub sent: Position,
    /// Receipts of our users that were logged after this are still to be brought to it; `None`: it has all.
    pub receipts_after: Option<Position>,
    /// How often in a row it could not be reached.
    pub failures: i32,
    /// When it is tried again, in ms.
    pub retry_ts: i64,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
