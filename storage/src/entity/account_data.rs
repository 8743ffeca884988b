//! What clients keep on the server for a user.

use sea_orm::entity::prelude::*;

use crate::id::{Position, RoomRow};

/// The room of account data that belongs to no room.
pub const GLOBAL: RoomRow = RoomRow(0);

/// A row of `account_data`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_data")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// For which room; [`GLOBAL`] for none.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// The type.
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "Text",
        column_name = "type"
    )]
    pub event_type: String,
    /// The content: a JSON object.
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// Its place in the log.
    pub position: Position,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
