//! Messages that say themselves when they are to go: MSC2228.

use sea_orm::entity::prelude::*;
use spec::self_destruct;

use crate::{
    id::{EventRow, RoomRow},
    write::NewEvent,
};

/// A row of `self_destructs`: such a message with a place in its room. It goes with the message, or with its redaction.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "self_destructs")]
pub struct Model {
    /// The event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event: EventRow,
    /// Its room.
    pub room: RoomRow,
    /// When it is to go, in ms since the epoch.
    pub due_ts: i64,
}

impl Model {
    /// The row of a new event, if it has one.
    pub(crate) fn of(new: &NewEvent) -> Option<Self> {
        let due_ts = self_destruct::due_ts(&new.event).filter(|_| new.has_place())?;
        Some(Self {
            event: new.row,
            room: new.room,
            due_ts,
        })
    }
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
