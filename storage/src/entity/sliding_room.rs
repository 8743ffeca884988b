//! What clients of sliding sync have been sent of rooms.

use sea_orm::entity::prelude::*;

use crate::id::RoomRow;

/// A row of `sliding_rooms`: a room as it is from one generation of a connection on, until there is a row of a later one.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sliding_rooms")]
pub struct Model {
    /// That of the connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// Which room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// From which generation on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub generation: i64,
    /// What was sent: JSON of the engine's; `None`: nothing, though something was before.
    #[sea_orm(column_type = "Text", nullable)]
    pub state: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
