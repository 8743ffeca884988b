//! Texts that are searched.

use sea_orm::entity::prelude::*;
use spec::{
    event::Event,
    relation,
    search::{self, Key},
};

use crate::{
    id::{EventRow, RoomRow},
    write::NewEvent,
};

/// The longest text that is searched, in bytes: the rest of a longer one is not found. Some pages of a book, so that one
/// event costs no more than some milliseconds in the index.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// How many bits of [`Model::moment`] tell events of the same millisecond apart.
const ROW_BITS: u32 = 22;
/// The last millisecond that fits above them: some time in the year 2039.
const TS_MAX: i64 = (1 << (63 - ROW_BITS)) - 1;

/// A row of `searchable`: the text of an accepted event of the timeline, or of the edit of it that counts. Redaction
/// deletes it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "searchable")]
pub struct Model {
    /// By which the index knows the text: when it was sent, as the event says, and which event it is. So the index
    /// itself is in the order of time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub moment: i64,
    /// The event.
    pub event: EventRow,
    /// Where the text comes from: the event itself, or its last edit.
    pub source: EventRow,
    /// Its room.
    pub room: RoomRow,
    /// Where in it the text stands.
    pub key: i16,
    /// Who sent it.
    #[sea_orm(column_type = "Text")]
    pub sender: String,
    /// The text, in lower case.
    #[sea_orm(column_type = "Text")]
    pub text: String,
}

impl Model {
    /// The row of a new event; `None` if there is nothing to search in it, it has no place in the timeline, or it is an edit,
    /// whose text is found with the event that it replaces.
    pub(crate) fn of(new: &NewEvent) -> Option<Self> {
        if !new.has_place() || relation::may_replace(&new.event) {
            return None;
        }
        Self::with_text((new.room, new.row), &new.event, (new.row, &new.event))
    }

    /// The row of an event with the text of `source`: of the event itself, or its edit.
    pub(crate) fn with_text(
        (room, row): (RoomRow, EventRow),
        event: &Event,
        (source, spoken): (EventRow, &Event),
    ) -> Option<Self> {
        let (key, mut text) = search::text(spoken)?;
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Some(Self {
            moment: moment(event.origin_server_ts(), row),
            event: row,
            source,
            room,
            key: number(key),
            sender: event.sender().to_string(),
            // PostgreSQL cannot keep a NUL as text; nobody looks for one.
            text: text.to_lowercase().replace('\0', " "),
        })
    }
}

fn moment(ts: i64, row: EventRow) -> i64 {
    let ts = ts.clamp(0, TS_MAX);
    (ts << ROW_BITS) | (row.get() & ((1 << ROW_BITS) - 1))
}

/// The key as a number.
pub(crate) fn number(key: Key) -> i16 {
    match key {
        Key::Body => 1,
        Key::Name => 2,
        Key::Topic => 3,
    }
}

/// None: what belongs to what is in the queries.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
