//! The signing keys of other servers.

use sea_orm::entity::prelude::*;

/// A row of `remote_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "remote_keys")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub server: String,
    /// `ed25519:…`
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub key_id: String,
    /// The public key in base64.
    #[sea_orm(column_type = "Text")]
    pub key: String,
    /// Until when its server wants it to be believed, in ms; so it says in the document of this time.
    pub valid_until_ts: i64,
    /// Since when it signs no more, in ms.
    pub expired_ts: Option<i64>,
    /// When we heard it, in ms.
    pub fetched_ts: i64,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
