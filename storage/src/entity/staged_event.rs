//! Events of other servers that wait for what they build on.

use sea_orm::entity::prelude::*;

use crate::id::RoomRow;

/// A row of `staged_events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "staged_events")]
pub struct Model {
    /// Its room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// `$…`
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub event_id: String,
    /// The server that sent it here.
    #[sea_orm(column_type = "Text")]
    pub origin: String,
    /// When it came, in ms.
    pub received_ts: i64,
    /// The event as it came, once its signatures and hash were found right.
    #[sea_orm(column_type = "Text")]
    pub json: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
