//! What rooms show of themselves: in the directory, in spaces, and to those who think of joining.

use sea_orm::entity::prelude::*;

use crate::id::RoomRow;

/// A row of `summaries`: one for each room that this server knows.
///
/// All of it follows from the room's state and members, and is written together with their changes, so that a list of
/// many rooms is read without looking into any of them.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "summaries")]
pub struct Model {
    /// The room.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room: RoomRow,
    /// Whether the room directory lists it.
    pub published: bool,
    /// Whether it did so when the room was replaced by one that is not here yet, which takes its place then.
    pub listed_before: bool,
    /// How many are joined.
    pub joined: i64,
    /// Its name.
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
    /// Its topic.
    #[sea_orm(column_type = "Text", nullable)]
    pub topic: Option<String>,
    /// Its picture.
    #[sea_orm(column_type = "Text", nullable)]
    pub avatar_url: Option<String>,
    /// Its main alias.
    #[sea_orm(column_type = "Text", nullable)]
    pub canonical_alias: Option<String>,
    /// Who may join.
    #[sea_orm(column_type = "Text")]
    pub join_rule: String,
    /// The rooms whose members may join, as a JSON list.
    #[sea_orm(column_type = "Text", nullable)]
    pub allowed_rooms: Option<String>,
    /// The type in its create event.
    #[sea_orm(column_type = "Text", nullable)]
    pub room_type: Option<String>,
    /// The algorithm by which it is encrypted.
    #[sea_orm(column_type = "Text", nullable)]
    pub encryption: Option<String>,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// Whether users of other servers may be in it.
    pub federated: bool,
    /// How long the room wants messages to be kept at least, in ms.
    pub min_lifetime: Option<i64>,
    /// How long the room wants messages to be kept at most, in ms.
    pub max_lifetime: Option<i64>,
    /// Name, topic and main alias in lower case, for searches.
    #[sea_orm(column_type = "Text")]
    pub search: String,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
