//! To which thread an event belongs: client-server API, "Threaded read receipts".
//!
//! It belongs to the thread that it relates to by `m.thread`, or to that of the event that it relates to by anything else.
//! All other events, roots of threads among them, belong to the main timeline.

use std::collections::HashMap;

use ruma::{EventId, OwnedEventId};
use spec::{
    event::Event,
    relation::{Relation, THREAD},
};
use storage::{
    RoomRow,
    relations::{self, StoredRelation},
};

use crate::{Result, context::Context, room::Room, rooms::RoomHandle};

/// Over how many other events the way to a thread may lead, as the specification recommends: each is a query.
const HOPS_MAX: usize = 3;

/// A step on the way to a thread.
enum Step {
    /// The root of the thread.
    Root(OwnedEventId),
    /// Another event, whose thread it is.
    Via(OwnedEventId),
}

impl Step {
    fn new(rel_type: &str, parent: OwnedEventId) -> Self {
        if rel_type == THREAD {
            Self::Root(parent)
        } else {
            Self::Via(parent)
        }
    }

    fn of(event: &Event) -> Option<Self> {
        Relation::of(event).map(|relation| Self::new(relation.rel_type, relation.parent.to_owned()))
    }

    fn stored(relation: &StoredRelation) -> Option<Self> {
        let parent = OwnedEventId::try_from(relation.parent.as_str()).ok()?;
        Some(Self::new(&relation.rel_type, parent))
    }
}

impl RoomHandle {
    /// The roots of the threads to which these events of the room belong, by the IDs of the events; those of the main
    /// timeline are left out. Two queries for 256 events and hop, none where no event relates to another.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn threads_of<'e>(
        &self,
        events: impl IntoIterator<Item = &'e Event>,
    ) -> Result<HashMap<OwnedEventId, OwnedEventId>> {
        let steps = events.into_iter();
        let steps = steps.filter_map(|event| Some((event.id().to_owned(), Step::of(event)?)));
        follow(&self.context, self.meta.row, steps.collect()).await
    }

    /// The same for events that are known by their IDs.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn threads_of_ids(
        &self,
        ids: &[&EventId],
    ) -> Result<HashMap<OwnedEventId, OwnedEventId>> {
        let steps = stored(&self.context, self.meta.row, ids).await?;
        follow(&self.context, self.meta.row, steps.into_iter().collect()).await
    }
}

/// The root of the thread to which an event of a room belongs that is stored; `None` for the main timeline. No query for
/// an event that relates to nothing or says its thread itself.
pub(crate) async fn of(
    context: &Context,
    room: RoomRow,
    event: &Event,
) -> Result<Option<OwnedEventId>> {
    let step = Step::of(event).map(|step| (event.id().to_owned(), step));
    let mut found = follow(context, room, step.into_iter().collect()).await?;
    Ok(found.remove(event.id()))
}

/// Follows the way from each event, all of them at once.
async fn follow(
    context: &Context,
    room: RoomRow,
    mut on_the_way: Vec<(OwnedEventId, Step)>,
) -> Result<HashMap<OwnedEventId, OwnedEventId>> {
    let mut found = HashMap::new();
    for hop in 0..=HOPS_MAX {
        let mut via = Vec::new();
        for (event, step) in on_the_way {
            match step {
                Step::Root(root) => drop(found.insert(event, root)),
                Step::Via(parent) => via.push((event, parent)),
            }
        }
        if via.is_empty() || hop == HOPS_MAX {
            break;
        }
        let parents: Vec<&EventId> = via.iter().map(|(_, parent)| parent.as_ref()).collect();
        let steps = stored(context, room, &parents).await?;
        let next = |(event, parent)| match steps.get(&parent)? {
            Step::Root(root) => Some((event, Step::Root(root.clone()))),
            Step::Via(parent) => Some((event, Step::Via(parent.clone()))),
        };
        on_the_way = via.into_iter().filter_map(next).collect();
    }
    Ok(found)
}

/// The next steps from these events, by their IDs.
async fn stored(
    context: &Context,
    room: RoomRow,
    ids: &[&EventId],
) -> Result<HashMap<OwnedEventId, Step>> {
    let relations = relations::of_ids(context.store.reader(), ids).await?;
    let of_room = relations.iter().filter(|relation| relation.room == room);
    let steps = of_room.filter_map(|relation| {
        let id = OwnedEventId::try_from(relation.event_id.as_str()).ok()?;
        Some((id, Step::stored(relation)?))
    });
    Ok(steps.collect())
}

impl Room {
    /// Whether an event of this room relates to another one, also where its write is still on its way.
    pub(crate) async fn is_related(&self, id: &EventId) -> Result<bool> {
        if let Some(row) = self.recent(id) {
            let known = self.context.events.get(&self.context.metas, row).await?;
            return Ok(Step::of(&known.event).is_some());
        }
        let steps = stored(&self.context, self.meta.row, &[id]).await?;
        Ok(!steps.is_empty())
    }
}
