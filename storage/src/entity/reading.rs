//! How far users of this server have read, as far as their counts go: the furthest of their receipts and messages.

use sea_orm::entity::prelude::*;

use crate::id::{Position, RoomRow};

/// The thread of what speaks of the whole room.
pub const WHOLE: &str = "";

/// A row of `readings`. There is one for [`WHOLE`] as long as the user is joined.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "readings")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// The root of a thread, `main`, or [`WHOLE`].
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub thread: String,
    /// Up to where (inclusive).
    pub position: Position,
    /// Where the user joined, in the row of [`WHOLE`].
    pub since: Position,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
