//! Rooms that nobody here wants to see any more.

use sea_orm::entity::prelude::*;

use crate::id::RoomRow;

/// A row of `purges`: written when a user forgets the room, and deleted with the last of it, or when somebody is there again.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "purges")]
pub struct Model {
    /// The room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// What it is, or was, called.
    #[sea_orm(column_type = "Text")]
    pub room_id: String,
    /// When a user forgot it last, in ms.
    pub forgotten_ts: i64,
    /// Whether it is going: no user finds it any more, and its rows are being deleted.
    pub going: bool,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
