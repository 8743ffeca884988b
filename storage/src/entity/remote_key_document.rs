//! The documents by which other servers have told their signing keys.

use sea_orm::entity::prelude::*;

/// A row of `remote_key_documents`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "remote_key_documents")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub server: String,
    /// Until when its server wants it to be believed, in ms: by this its keys name it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub valid_until_ts: i64,
    /// What its server has signed, as JSON: other servers may ask for it.
    #[sea_orm(column_type = "Text")]
    pub document: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
