//! Events of other servers that were acknowledged and wait for what they build on.

use ruma::{EventId, OwnedEventId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use spec::{event::Event, room_version::RoomVersion};

use crate::{
    entity::staged_event,
    error::{Error, Result},
    id::RoomRow,
};

/// An event that waits.
pub type StagedEvent = staged_event::Model;

/// What is known of an event that waits without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its room.
    pub room: RoomRow,
    /// Its ID.
    pub event_id: OwnedEventId,
    /// The server that sent it here.
    pub origin: String,
}

impl StagedEvent {
    /// The event.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: it is not an event of this room version.
    pub fn parse(&self, version: &RoomVersion) -> Result<Event> {
        let id = event_id(&self.event_id)?;
        Event::from_stored(version, id, &self.json).map_err(|error| {
            Error::Corrupt(format!("event {} cannot be read: {error}", self.event_id))
        })
    }
}

/// All events that wait, without their JSON. For the start of the server.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Waiting>> {
    let rows = staged_event::Entity::find()
        .select_only()
        .columns([
            staged_event::Column::Room,
            staged_event::Column::EventId,
            staged_event::Column::Origin,
        ])
        .into_tuple::<(RoomRow, String, String)>()
        .all(db)
        .await?;
    rows.into_iter()
        .map(|(room, id, origin)| {
            Ok(Waiting {
                room,
                event_id: event_id(&id)?,
                origin,
            })
        })
        .collect()
}

/// The events of `room` that wait, those first that came first. One query, on the primary key.
pub async fn of_room(db: &impl ConnectionTrait, room: RoomRow) -> Result<Vec<StagedEvent>> {
    let waiting = staged_event::Entity::find()
        .filter(staged_event::Column::Room.eq(room))
        .order_by_asc(staged_event::Column::ReceivedTs)
        .order_by_asc(staged_event::Column::EventId);
    Ok(waiting.all(db).await?)
}

fn event_id(text: &str) -> Result<OwnedEventId> {
    EventId::parse(text).map_err(|error| Error::Corrupt(format!("event ID {text}: {error}")))
}
