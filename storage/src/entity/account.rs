//! The accounts of this server.

use sea_orm::entity::prelude::*;

/// A row of `accounts`.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    /// `@localpart:server`
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// Its local part.
    #[sea_orm(column_type = "Text")]
    pub localpart: String,
    /// Argon2 hash; `None`: no login by password.
    #[sea_orm(column_type = "Text", nullable)]
    pub password_hash: Option<String>,
    /// Server administrator.
    pub admin: bool,
    /// Registered as a guest.
    pub guest: bool,
    /// Closed for good; the name stays taken.
    pub deactivated: bool,
    /// What they wrote is hidden from those who were not there: asked for when the account was closed.
    pub erased: bool,
    /// Temporarily shut out.
    pub locked: bool,
    /// May read, but not act.
    pub suspended: bool,
    /// When it was made, in ms.
    pub created_ts: i64,
    /// The application service that owns it.
    #[sea_orm(column_type = "Text", nullable)]
    pub appservice: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl std::fmt::Debug for Model {
    /// Without `password_hash`: what is printed ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("user_id", &self.user_id)
            .field("admin", &self.admin)
            .field("guest", &self.guest)
            .field("deactivated", &self.deactivated)
            .field("locked", &self.locked)
            .field("suspended", &self.suspended)
            .field("created_ts", &self.created_ts)
            .field("appservice", &self.appservice)
            .finish_non_exhaustive()
    }
}
