//! Refresh tokens, hashed.

use sea_orm::entity::prelude::*;

/// A row of `refresh_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    /// Its number, from [`crate::Ids::next_refresh_token`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// SHA-256 of the token.
    #[sea_orm(unique, column_type = "Blob")]
    pub hash: Vec<u8>,
    /// Whom it stands for.
    #[sea_orm(column_type = "Text")]
    pub user_id: String,
    /// With which device.
    #[sea_orm(column_type = "Text")]
    pub device_id: String,
    /// The token that it was exchanged for; it may be used again until that one is used.
    pub next: Option<i64>,
    /// From when on it is refused, in ms; `None`: never.
    pub expires_ts: Option<i64>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
