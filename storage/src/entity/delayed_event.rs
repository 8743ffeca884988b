//! Events that users have left with the server, to be sent later.

use sea_orm::entity::prelude::*;

use crate::id::{Position, RoomRow};

/// A row of `delayed_events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delayed_events")]
pub struct Model {
    /// By which whoever knows it manages the event.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub delay_id: String,
    /// Whose.
    #[sea_orm(column_type = "Text")]
    pub user_id: String,
    /// From which device.
    #[sea_orm(column_type = "Text", nullable)]
    pub device_id: Option<String>,
    /// Into which room.
    pub room: RoomRow,
    /// Its type.
    #[sea_orm(column_type = "Text", column_name = "type")]
    pub event_type: String,
    /// Of a state event.
    #[sea_orm(column_type = "Text", nullable)]
    pub state_key: Option<String>,
    /// Its content: a JSON object.
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// How long it waits, in ms.
    pub delay_ms: i64,
    /// Since when it waits, in ms.
    pub running_since_ts: i64,
    /// When it is sent, in ms; `None`: it waits no more.
    pub send_ts: Option<i64>,
    /// Where the log stood when it came: state that others have set after that makes it void.
    pub seen: Position,
    /// The device's transaction, with all that belongs to it.
    #[sea_orm(column_type = "Text", nullable)]
    pub txn: Option<String>,
    /// Since when it waits no more, in ms.
    pub finished_ts: Option<i64>,
    /// What became of it: `send` or `cancel`.
    #[sea_orm(column_type = "Text", nullable)]
    pub outcome: Option<String>,
    /// Why: `delay`, `action` or `error`.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// The event that it became.
    #[sea_orm(column_type = "Text", nullable)]
    pub event_id: Option<String>,
    /// Why it could not be sent.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
