//! Tokens that let people register.

use sea_orm::entity::prelude::*;

/// A row of `registration_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registration_tokens")]
pub struct Model {
    /// The token itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token: String,
    /// How many registrations; `None`: any number.
    pub uses_allowed: Option<i64>,
    /// Registrations that began with it.
    pub pending: i64,
    /// Registrations that ended with it.
    pub completed: i64,
    /// From when on it is refused, in ms; `None`: never.
    pub expires_ts: Option<i64>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
