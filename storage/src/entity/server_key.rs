//! The signing keys of this server.

use sea_orm::entity::prelude::*;

/// A row of `server_keys`.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "server_keys")]
pub struct Model {
    /// `ed25519:…`
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub key_id: String,
    /// The server whose key it is: the one that all data here belongs to.
    #[sea_orm(column_type = "Text")]
    pub server_name: String,
    /// The 32 secret bytes.
    #[sea_orm(column_type = "Blob")]
    pub seed: Vec<u8>,
    /// When it was made, in ms.
    pub created_ts: i64,
    /// Since when it is no longer used, in ms.
    pub expired_ts: Option<i64>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl std::fmt::Debug for Model {
    /// Without `seed`: what is printed ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("key_id", &self.key_id)
            .field("created_ts", &self.created_ts)
            .field("expired_ts", &self.expired_ts)
            .finish_non_exhaustive()
    }
}
