//! Which events notify whom. What an event does for all who have the default push rules is one row; those for whom it
//! does something else have a row each that says by how much their counts differ from that.

use sea_orm::entity::prelude::*;

use crate::id::{EventRow, Position, RoomRow};

/// The user of the row that speaks of everybody in the room.
pub const EVERYBODY: &str = "";

/// The thread of what belongs to none.
pub const MAIN: &str = "main";

/// A row of `notifications`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    /// The room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// Whom; [`EVERYBODY`] in the room for whom there is no row of their own.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// The place of the event in the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: Position,
    /// The event.
    pub event: EventRow,
    /// The root of its thread, or [`MAIN`].
    #[sea_orm(column_type = "Text")]
    pub thread: String,
    /// By how much it raises the user's count of notifications, after the row of [`EVERYBODY`]: -1, 0 or 1.
    pub notify: i64,
    /// The same for highlights.
    pub highlight: i64,
    /// What the push rule does: a JSON list; empty where it does not notify.
    #[sea_orm(column_type = "Text")]
    pub actions: String,
    /// When it became known, in ms.
    pub noted_ts: i64,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
