//! The e-mail addresses of accounts.

use sea_orm::entity::prelude::*;

/// A row of `email_addresses`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_addresses")]
pub struct Model {
    /// Without the differences that do not matter: in lower case.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub address: String,
    /// Whose.
    #[sea_orm(column_type = "Text")]
    pub user_id: String,
    /// Since when, in ms.
    pub added_ts: i64,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
