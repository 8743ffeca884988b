//! The states of rooms, as lists on top of lists (see [`crate::snapshots`]).

use sea_orm::entity::prelude::*;

use crate::id::{RoomRow, SnapshotRow};

/// A row of `snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "snapshots")]
pub struct Model {
    /// Our number for the state.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SnapshotRow,
    /// Whose state it is.
    pub room: RoomRow,
    /// The list below; `None` for a full list.
    pub parent: Option<SnapshotRow>,
    /// How many lists are below.
    pub chain: i32,
    /// Packed changes on top of the parent.
    #[sea_orm(column_type = "Blob")]
    pub entries: Vec<u8>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
