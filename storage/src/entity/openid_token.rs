//! OpenID tokens, hashed: they say who somebody is, and open nothing.

use sea_orm::entity::prelude::*;

/// A row of `openid_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "openid_tokens")]
pub struct Model {
    /// SHA-256 of the token.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Blob")]
    pub hash: Vec<u8>,
    /// Whom it stands for.
    #[sea_orm(column_type = "Text")]
    pub user_id: String,
    /// From when on it is refused, in ms.
    pub expires_ts: i64,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
