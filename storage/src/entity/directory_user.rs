//! Whom a search for people may find.

use sea_orm::entity::prelude::*;

/// A row of `directory_users`.
///
/// There is one for each account of this server that may be found, and for each user of another server who is in a public
/// room. It follows from accounts, profiles and memberships, and is written together with their changes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "directory_users")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// Whether they are in a room that everybody may join or read, so that everybody may find them.
    pub public: bool,
    /// Their name: that of the profile, or for users of other servers that in a public room.
    #[sea_orm(column_type = "Text", nullable)]
    pub displayname: Option<String>,
    /// Their picture, likewise.
    #[sea_orm(column_type = "Text", nullable)]
    pub avatar_url: Option<String>,
    /// The words of their id and name, in lower case, with a space before each.
    #[sea_orm(column_type = "Text")]
    pub search: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
