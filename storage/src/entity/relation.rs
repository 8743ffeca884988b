//! Which event relates to which.

use sea_orm::entity::prelude::*;
use spec::relation::{self, Relation as Content};

use crate::{
    id::{EventRow, Position, RoomRow, SnapshotRow},
    timeline::Spot,
    write::{NewEvent, Place},
};

/// A row of `relations`: an accepted event of the timeline that relates to another event, its parent. Redaction deletes it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "relations")]
pub struct Model {
    /// The event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub child: EventRow,
    /// Its ID.
    #[sea_orm(column_type = "Text")]
    pub event_id: String,
    /// Its room.
    pub room: RoomRow,
    /// The ID of the event that it relates to: perhaps not here, perhaps of another room.
    #[sea_orm(column_type = "Text")]
    pub parent: String,
    /// How it relates.
    #[sea_orm(column_type = "Text")]
    pub rel_type: String,
    /// Its type.
    #[sea_orm(column_type = "Text", column_name = "type")]
    pub event_type: String,
    /// Who sent it.
    #[sea_orm(column_type = "Text")]
    pub sender: String,
    /// Of an annotation: its key.
    #[sea_orm(column_type = "Text", nullable)]
    pub annotation: Option<String>,
    /// Of what may be an edit: when it was sent, as it says, in ms.
    pub edit_ts: Option<i64>,
    /// The room's state before it.
    pub snapshot: Option<SnapshotRow>,
    /// Where it stands in the timeline: with the next two its [`Spot`].
    pub anchor: Position,
    /// See [`Spot::rank`].
    pub rank: i64,
    /// Its position.
    pub position: Position,
}

impl Model {
    /// The row of a new event; `None` if the event relates to nothing, or has no place in the timeline.
    pub(crate) fn of(new: &NewEvent) -> Option<Self> {
        if !new.has_place() {
            return None;
        }
        let event = &new.event;
        let Content {
            rel_type,
            parent,
            key,
        } = Content::of(event)?;
        Some(Self {
            child: new.row,
            event_id: event.id().to_string(),
            room: new.room,
            parent: parent.to_string(),
            rel_type: rel_type.to_owned(),
            event_type: event.event_type().to_owned(),
            sender: event.sender().to_string(),
            annotation: key.map(str::to_owned),
            edit_ts: relation::may_replace(event).then(|| event.origin_server_ts()),
            snapshot: new.snapshot,
            anchor: Position::ZERO,
            rank: Spot::NEWS,
            position: Position::ZERO,
        })
    }

    /// Takes its place in the timeline, once its position is known.
    pub(crate) fn stand_at(&mut self, place: Place, position: Position) {
        let spot = match place {
            Place::History { anchor, rank } => Spot {
                anchor,
                rank,
                position,
            },
            Place::New | Place::Outlier => Spot::news(position),
        };
        (self.anchor, self.rank, self.position) = (spot.anchor, spot.rank, spot.position);
    }

    /// Where it stands in the timeline.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot {
            anchor: self.anchor,
            rank: self.rank,
            position: self.position,
        }
    }
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
