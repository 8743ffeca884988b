//! Room aliases of this server.

use sea_orm::entity::prelude::*;

use crate::id::RoomRow;

/// A row of `aliases`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "aliases")]
pub struct Model {
    /// `#name:server`
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub alias: String,
    /// Where it leads.
    pub room: RoomRow,
    /// Who made it.
    #[sea_orm(column_type = "Text")]
    pub creator: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
