//! Redactions that have emptied nothing.

use sea_orm::entity::prelude::*;

use crate::id::{EventRow, RoomRow};

/// A row of `pending_redactions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_redactions")]
pub struct Model {
    /// The redaction.
    #[sea_orm(primary_key, auto_increment = false)]
    pub redaction: EventRow,
    /// Its room.
    pub room: RoomRow,
    /// The ID of the event that it waits for; `None` if it never applies to anything.
    #[sea_orm(column_type = "Text", nullable)]
    pub target: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
