//! Pairs of event type and state key, each stored once.

use sea_orm::entity::prelude::*;

use crate::id::StateKeyRow;

/// A row of `state_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "state_keys")]
pub struct Model {
    /// Our number for the pair.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StateKeyRow,
    /// The event type.
    #[sea_orm(column_type = "Text", column_name = "type")]
    pub event_type: String,
    /// The state key.
    #[sea_orm(column_type = "Text")]
    pub state_key: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
