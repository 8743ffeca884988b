//! What is found of edited events: the text of the last edit, and nothing that it has replaced.
//!
//! An event and its edits come in any order, and edits are redacted. So whenever something of that happens, the row of the
//! event is made anew from what the batch has written. Other batches cost nothing, but for one look-up where events come
//! from elsewhere.

use std::collections::{BTreeSet, HashMap};

use ruma::EventId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use spec::{relation::REPLACE, room_version::RoomVersion};

use super::{
    prepared::{Entry, Prepared},
    rows::{Existing, delete, insert, values},
};
use crate::{
    entity::{event, relation, room, searchable},
    error::{Error, Result},
    events::{self, StoredEvent},
    id::{EventRow, Position, RoomRow},
    padded::padded,
    relations::{Hidden, latest_edits},
    write::{Logged, Outcome, Plain},
};

/// The IDs of events whose text may be another once the batch is written. To be called before its redactions and deletions
/// are applied.
pub(super) async fn edited(
    db: &impl ConnectionTrait,
    writes: &[&mut Prepared],
) -> Result<BTreeSet<String>> {
    let entries = || writes.iter().flat_map(|write| &write.logged);
    let relations = entries().filter_map(|entry| entry.relation.as_ref());
    let edits = relations.filter(|relation| relation.edit_ts.is_some());
    let mut edited: BTreeSet<String> = edits.map(|relation| relation.parent.clone()).collect();

    let mut gone: Vec<EventRow> = Vec::new();
    for plain in writes.iter().flat_map(|write| &write.afterwards) {
        match plain {
            Plain::Redacted { event, .. } => gone.push(*event),
            Plain::EventsDeleted { events, .. } => gone.extend(events),
            _ => {}
        }
    }
    edited.extend(parents(db, relation::Column::Child, &gone).await?);

    // Of what its own server has made a moment ago there can be no edits.
    let foreign = entries().filter(|entry| entry.searchable.is_some() && !entry.is_outgoing());
    let foreign: Vec<String> = foreign.filter_map(event_id).collect();
    edited.extend(parents(db, relation::Column::Parent, &foreign).await?);
    Ok(edited)
}

/// Makes the rows of these events what they should be. To be called when all else of the batch is written.
pub(super) async fn refresh(db: &impl ConnectionTrait, edited: &BTreeSet<String>) -> Result<()> {
    let ids: Vec<&EventId> = edited
        .iter()
        .filter_map(|id| <&EventId>::try_from(id.as_str()).ok())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let originals = events::by_ids(db, &ids).await?;
    let rows: Vec<EventRow> = originals.iter().map(|original| original.id).collect();
    let hidden = Hidden {
        senders: Vec::new(),
        snapshots: Vec::new(),
        behind: Position::MAX,
    };
    let last = latest_edits(db, &rows, &hidden).await?;
    let edits: Vec<EventRow> = last.values().copied().collect();
    let edits = events::by_rows(db, &edits).await?;
    let edits: HashMap<EventRow, &StoredEvent> = edits.iter().map(|edit| (edit.id, edit)).collect();
    let versions = versions(db, &originals).await?;
    let mut texts = Vec::new();
    for original in &originals {
        let source = last.get(&original.id).and_then(|edit| edits.get(edit));
        let text = text(original, source.copied().unwrap_or(original), &versions)?;
        texts.extend(text.as_ref().map(values));
    }
    for chunk in padded(&rows) {
        delete::<searchable::Entity>(db, searchable::Column::Event.is_in(chunk)).await?;
    }
    let key = &[searchable::Column::Moment];
    insert::<searchable::Entity>(db, Existing::Stays(key), texts).await
}

/// The row of an event with the text of `source`.
fn text(
    original: &StoredEvent,
    source: &StoredEvent,
    versions: &HashMap<RoomRow, &'static RoomVersion>,
) -> Result<Option<searchable::Model>> {
    let is_shown = original.outcome == Outcome::Accepted
        && original.position.is_some()
        && original.redacted_by.is_none();
    let Some(version) = versions.get(&original.room).filter(|_| is_shown) else {
        return Ok(None);
    };
    let (event, spoken) = (original.parse(version)?, source.parse(version)?);
    let place = (original.room, original.id);
    Ok(searchable::Model::with_text(
        place,
        &event,
        (source.id, &spoken),
    ))
}

/// The events that these edits replace, or those of these events that edits replace.
async fn parents<T: Clone + Into<sea_orm::Value>>(
    db: &impl ConnectionTrait,
    by: relation::Column,
    these: &[T],
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for chunk in padded(these) {
        let parents = relation::Entity::find()
            .select_only()
            .column(relation::Column::Parent)
            .distinct()
            .filter(by.is_in(chunk))
            .filter(relation::Column::RelType.eq(REPLACE))
            .filter(relation::Column::EditTs.is_not_null());
        found.extend(parents.into_tuple::<String>().all(db).await?);
    }
    Ok(found)
}

async fn versions(
    db: &impl ConnectionTrait,
    events: &[event::Model],
) -> Result<HashMap<RoomRow, &'static RoomVersion>> {
    let rooms: BTreeSet<RoomRow> = events.iter().map(|event| event.room).collect();
    let rooms: Vec<RoomRow> = rooms.into_iter().collect();
    let mut found = HashMap::new();
    for chunk in padded(&rooms) {
        let these = room::Entity::find().filter(room::Column::Id.is_in(chunk));
        for room in these.all(db).await? {
            let version = RoomVersion::get(&room.version);
            let version = version.ok_or_else(|| {
                Error::Corrupt(format!("{} has an unknown version", room.room_id))
            })?;
            found.insert(room.id, version);
        }
    }
    Ok(found)
}

fn event_id(entry: &Entry) -> Option<String> {
    match &*entry.announcement {
        Logged::Event(new) => Some(new.event.id().to_string()),
        _ => None,
    }
}
