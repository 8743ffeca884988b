//! The events, each with its JSON: the only place where that is stored.

use sea_orm::entity::prelude::*;

use crate::id::{EventRow, Position, RoomRow, SnapshotRow, StateKeyRow};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum Outcome {
    /// Part of the room.
    Accepted = 0,
    /// Allowed where it was sent, but not by the current state: kept, never shown.
    SoftFailed = 1,
    /// Refused by the authorisation rules: kept so that it is not fetched again.
    Rejected = 2,
    /// Known, for instance as an auth event, without a place in the room.
    Outlier = 3,
}

/// A row of `events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// Our number for the event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventRow,
    /// `$…`
    #[sea_orm(unique, column_type = "Text")]
    pub event_id: String,
    /// Its room.
    pub room: RoomRow,
    /// Its place in the log: negative for history fetched later, `None` for an outlier.
    pub position: Option<Position>,
    /// Of history: the position of the news in front of which it stands.
    pub anchor: Option<Position>,
    /// Of history: its order among that in front of the same news.
    pub rank: Option<i64>,
    /// Whether events right before it are missing, that others may have; `false`: they were, when it came.
    pub gap: Option<bool>,
    /// Whether the current state changed otherwise than by this event alone; `None` for no.
    pub resettled: Option<bool>,
    /// Who sent it.
    #[sea_orm(column_type = "Text")]
    pub sender: String,
    /// Its type.
    #[sea_orm(column_type = "Text", column_name = "type")]
    pub event_type: String,
    /// Type and state key of a state event.
    pub state_key: Option<StateKeyRow>,
    /// Its place in the log once more if this server brings it to the others in the room; else `None`.
    pub outgoing: Option<Position>,
    /// As the event says.
    pub depth: i64,
    /// As the event says, in ms.
    pub origin_server_ts: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// The room's state *before* the event.
    pub snapshot: Option<SnapshotRow>,
    /// The room's current state once the event had been taken in.
    pub current: Option<SnapshotRow>,
    /// The state event whose place it took.
    pub replaces: Option<EventRow>,
    /// The redaction that applied to it; `json` is redacted then.
    pub redacted_by: Option<EventRow>,
    /// The event as federation sends it.
    #[sea_orm(column_type = "Text")]
    pub json: String,
    /// The device that sent it with `txn_id`.
    #[sea_orm(column_type = "Text", nullable)]
    pub txn_device: Option<String>,
    /// The kind of request that `txn_id` belongs to.
    #[sea_orm(column_type = "Text", nullable)]
    pub txn_scope: Option<String>,
    /// The client's transaction ID.
    #[sea_orm(column_type = "Text", nullable)]
    pub txn_id: Option<String>,
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
