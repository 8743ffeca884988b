//! Clients of sliding sync.

use sea_orm::entity::prelude::*;

/// A row of `sliding_connections`: a client that syncs by windows. What it knows of each room is in `sliding_rooms`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sliding_connections")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// The device; empty for none.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub device_id: String,
    /// The client's name for the connection; empty for none.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub conn_id: String,
    /// Different each time that the client begins anew.
    pub number: i64,
    /// The newest generation that the client is known to have.
    pub used: i64,
    /// That of the last answer, if it is another.
    pub issued: Option<i64>,
    /// How rooms are wanted: JSON of the engine's.
    #[sea_orm(column_type = "Text")]
    pub configs: String,
    /// When it was last written, in ms.
    pub written_ts: i64,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
