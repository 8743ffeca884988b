//! The threads that users follow.

use sea_orm::entity::prelude::*;

use crate::id::{Position, RoomRow};

/// A row of `thread_subscriptions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "thread_subscriptions")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// The event that the thread begins with.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub thread_root: String,
    /// Whether the user follows it; else they have stopped to.
    pub subscribed: bool,
    /// Whether the client has decided that, and not the user.
    pub automatic: bool,
    /// Its place in the log.
    pub position: Position,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
