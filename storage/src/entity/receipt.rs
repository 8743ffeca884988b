//! How far users have read: the newest receipt of each kind and thread.

use sea_orm::entity::prelude::*;

use crate::id::{Position, RoomRow};

/// A row of `receipts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "receipts")]
pub struct Model {
    /// The room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// Who has read.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// `m.read` or `m.read.private`.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kind: String,
    /// The thread: `main`, a root's event ID, or empty where the receipt has none.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub thread_id: String,
    /// Up to where.
    #[sea_orm(column_type = "Text")]
    pub event_id: String,
    /// When it was sent, in ms.
    pub ts: i64,
    /// Its place in the log.
    pub position: Position,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
