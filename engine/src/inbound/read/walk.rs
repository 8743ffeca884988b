//! Walking back through a room along the parents of its events.
//!
//! Most rooms are nearly a line, so that with an event those that precede it in the timeline are read too: a walk of a
//! hundred events takes some three queries, and a bounded number in any room.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};
use storage::{
    Limit, events,
    events::StoredEvent,
    timeline::{self, Spot},
    write::Outcome,
};

use crate::{Result, events::KnownEvent, rooms::RoomHandle};

/// How often one walk may read from the store.
const READS_MAX: usize = 50;

/// A walk through a room.
pub(super) struct Walk<'a> {
    room: &'a RoomHandle,
    limit: usize,
    at_hand: HashMap<OwnedEventId, Arc<KnownEvent>>,
    unknown: HashSet<OwnedEventId>,
    reads: usize,
}

impl<'a> Walk<'a> {
    /// A walk that finds at most `limit` events.
    pub(super) fn new(room: &'a RoomHandle, limit: usize) -> Self {
        Self {
            room,
            limit,
            at_hand: HashMap::new(),
            unknown: HashSet::new(),
            reads: 0,
        }
    }

    /// Events from `from` (inclusive) on backwards, deepest first.
    pub(super) async fn back_from(
        &mut self,
        from: &[OwnedEventId],
    ) -> Result<Vec<Arc<KnownEvent>>> {
        let mut seen: BTreeSet<OwnedEventId> = from.iter().cloned().collect();
        let mut ahead: BinaryHeap<(i64, Reverse<OwnedEventId>)> = BinaryHeap::new();
        let mut walked = Vec::new();
        let mut next = from.to_vec();
        while walked.len() < self.limit {
            let found = self.read(&next).await?;
            ahead.extend(
                found
                    .iter()
                    .map(|known| (known.event.depth(), Reverse(known.event.id().to_owned()))),
            );
            let Some((_, Reverse(id))) = ahead.pop() else {
                break;
            };
            let Some(known) = self.at_hand.get(&id).cloned() else {
                break;
            };
            let parents = known.event.prev_events().iter();
            next = parents
                .filter(|id| seen.insert((*id).clone()))
                .cloned()
                .collect();
            if is_served(&known) {
                walked.push(known);
            }
        }
        Ok(walked)
    }

    /// Events between `earliest` and `latest`, both excluded, and not less deep than `min_depth`: those with fewest steps
    /// to `latest`, oldest first.
    pub(super) async fn between(
        &mut self,
        earliest: &[OwnedEventId],
        latest: &[OwnedEventId],
        min_depth: i64,
    ) -> Result<Vec<Arc<KnownEvent>>> {
        let mut seen: BTreeSet<OwnedEventId> = earliest.iter().chain(latest).cloned().collect();
        let mut walked: Vec<Arc<KnownEvent>> = Vec::new();
        let mut ahead: VecDeque<Arc<KnownEvent>> = self.read(latest).await?.into();
        while let Some(known) = ahead.pop_front() {
            if walked.len() >= self.limit {
                break;
            }
            let parents: Vec<OwnedEventId> = known
                .event
                .prev_events()
                .iter()
                .filter(|id| seen.insert((*id).clone()))
                .cloned()
                .collect();
            for parent in self.read(&parents).await? {
                if parent.event.depth() < min_depth {
                    continue;
                }
                if is_served(&parent) && walked.len() < self.limit {
                    walked.push(parent.clone());
                }
                ahead.push_back(parent);
            }
        }
        walked
            .sort_by(|a, b| (a.event.depth(), a.event.id()).cmp(&(b.event.depth(), b.event.id())));
        Ok(walked)
    }

    /// Those of these events that are stored with a place in this room, or would have one had they not been refused.
    async fn read(&mut self, ids: &[OwnedEventId]) -> Result<Vec<Arc<KnownEvent>>> {
        let missing: Vec<&EventId> = ids
            .iter()
            .filter(|id| !self.at_hand.contains_key(*id) && !self.unknown.contains(*id))
            .map(AsRef::as_ref)
            .collect();
        if !missing.is_empty() && self.reads < READS_MAX {
            self.reads += 1;
            self.fetch(&missing).await?;
        }
        Ok(ids
            .iter()
            .filter_map(|id| self.at_hand.get(id).cloned())
            .collect())
    }

    async fn fetch(&mut self, ids: &[&EventId]) -> Result<()> {
        let context = &self.room.context;
        let db = context.store.reader();
        let mut stored = events::by_ids(db, ids).await?;
        stored.retain(|stored| {
            stored.room == self.room.meta.row && stored.outcome != Outcome::Outlier
        });
        if let Some(last) = stored.iter().filter_map(StoredEvent::spot).max() {
            let (before, page) = (last.just_before(), Limit::from(self.limit));
            let row = self.room.meta.row;
            stored.extend(timeline::back(db, row, before, Spot::MIN, page).await?);
        }
        for known in context.events.known(&context.metas, stored).await? {
            self.at_hand.insert(known.event.id().to_owned(), known);
        }
        let unknown = ids.iter().filter(|id| !self.at_hand.contains_key(**id));
        self.unknown.extend(unknown.map(|id| (*id).to_owned()));
        Ok(())
    }
}

/// Whether other servers get an event. What soft-failed here may be part of the room elsewhere: whoever refers to it gets
/// it.
fn is_served(known: &KnownEvent) -> bool {
    matches!(known.outcome, Outcome::Accepted | Outcome::SoftFailed)
}
