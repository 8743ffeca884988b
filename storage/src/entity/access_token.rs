//! Access tokens, hashed.

use sea_orm::entity::prelude::*;

/// A row of `access_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_tokens")]
pub struct Model {
    /// SHA-256 of the token.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Blob")]
    pub hash: Vec<u8>,
    /// Whom it stands for.
    #[sea_orm(column_type = "Text")]
    pub user_id: String,
    /// With which device.
    #[sea_orm(column_type = "Text")]
    pub device_id: String,
    /// From when on it is refused, in ms; `None`: never.
    pub expires_ts: Option<i64>,
    /// The refresh token that was given out with it.
    pub refresh: Option<i64>,
    /// It was used, so the token pair before it is void.
    pub used: bool,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
