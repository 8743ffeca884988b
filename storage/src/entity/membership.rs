//! Who is what in which room, as of the current state.

use sea_orm::{Iterable as _, entity::prelude::*};

use crate::id::{EventRow, Position, RoomRow};

/// What a user is to a room ("Room membership" of the client-server API).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Membership {
    /// `invite`
    #[sea_orm(string_value = "invite")]
    Invite,
    /// `join`
    #[sea_orm(string_value = "join")]
    Join,
    /// `knock`
    #[sea_orm(string_value = "knock")]
    Knock,
    /// `leave`
    #[sea_orm(string_value = "leave")]
    Leave,
    /// `ban`
    #[sea_orm(string_value = "ban")]
    Ban,
}

impl Membership {
    /// The membership with this name in member events.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::iter().find(|membership| membership.as_str() == name)
    }

    /// Its name in member events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }
}

/// A row of `memberships`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub struct Model {
    /// The room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub user_id: String,
    /// The user's server: the part of the ID after the first colon.
    #[sea_orm(column_type = "Text")]
    pub server: String,
    /// What the user is there.
    pub membership: Membership,
    /// The membership event.
    pub event: EventRow,
    /// Who sent that.
    #[sea_orm(column_type = "Text")]
    pub sender: String,
    /// When it became so.
    pub position: Position,
    /// The user left and wants to see nothing of the room any more.
    pub forgotten: bool,
    /// The user's name in the room.
    #[sea_orm(column_type = "Text", nullable)]
    pub displayname: Option<String>,
    /// The user's picture in the room.
    #[sea_orm(column_type = "Text", nullable)]
    pub avatar_url: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
