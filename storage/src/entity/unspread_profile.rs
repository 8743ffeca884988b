//! Users whose rooms may not know their newest name and picture.

use sea_orm::entity::prelude::*;

/// A row of `unspread_profiles`: written together with the profile, so that its way into the rooms outlives a crash.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "unspread_profiles")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// Which change it was: another one makes another.
    #[sea_orm(column_type = "Text")]
    pub change: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
