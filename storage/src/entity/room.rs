//! The rooms that this server knows.

use sea_orm::entity::prelude::*;

use crate::id::{RoomRow, SnapshotRow};

/// A row of `rooms`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rooms")]
pub struct Model {
    /// Our number for the room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RoomRow,
    /// `!opaque:server`, or `!opaque` from room version 12 on.
    #[sea_orm(unique, column_type = "Text")]
    pub room_id: String,
    /// The room version.
    #[sea_orm(column_type = "Text")]
    pub version: String,
    /// Who sent the create event.
    #[sea_orm(column_type = "Text")]
    pub creator: String,
    /// The current state; `None` before the first state event.
    pub snapshot: Option<SnapshotRow>,
    /// Forward extremities: event rows, packed (see [`crate::packed`]).
    #[sea_orm(column_type = "Blob")]
    pub extremities: Vec<u8>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
