//! What a parent says of its children: client-server API, "Aggregations of child events".
//!
//! For a whole page at once: the number of queries does not grow with its events, nor with their children.

use std::collections::{BTreeSet, HashMap, HashSet};

use ruma::{EventId, UserId, events::AnyTimelineEvent, serde::Raw};
use serde::Serialize;
use spec::relation::{REFERENCE, REPLACE, THREAD};
use storage::{
    EventRow, Limit,
    relations::{self, Group, Hidden},
    timeline::Spot,
};

use crate::{
    Result,
    events::{KnownEvent, Placed},
    read::view::{Seen, View},
    render::Shape,
};

/// How many references to one event are listed, the last ones.
const REFERENCES_MAX: u64 = 1_000;

/// What is aggregated of the children of each event that has some.
pub(crate) type Bundles = HashMap<EventRow, Bundle>;

/// What is aggregated of the children of one event: the `m.relations` of its `unsigned`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Bundle {
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    replace: Option<Raw<AnyTimelineEvent>>,
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    reference: Option<References>,
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    thread: Option<Thread>,
}

#[derive(Clone, Debug, Serialize)]
struct References {
    chunk: Vec<Reference>,
}

#[derive(Clone, Debug, Serialize)]
struct Reference {
    event_id: String,
}

#[derive(Clone, Debug, Serialize)]
struct Thread {
    latest_event: Raw<AnyTimelineEvent>,
    count: i64,
    current_user_participated: bool,
}

/// What one thread adds up to.
#[derive(Default)]
struct Replies {
    count: i64,
    own: bool,
}

/// Which events of a page have which children that the reader sees.
#[derive(Default)]
struct Children {
    threads: HashMap<String, Replies>,
    edited: HashSet<String>,
    referred: HashSet<String>,
}

impl Children {
    fn add(&mut self, group: Group, reader: &UserId) {
        match group.rel_type.as_str() {
            THREAD => {
                let replies = self.threads.entry(group.parent).or_default();
                replies.count += group.count;
                replies.own |= group.sender == reader.as_str();
            }
            REPLACE => drop(self.edited.insert(group.parent)),
            REFERENCE => drop(self.referred.insert(group.parent)),
            _ => {}
        }
    }
}

impl View<'_> {
    /// What is aggregated of the children of these events, without children of ignored users and those that the reader may
    /// not see. One query where they have none, ten at most for 256 events.
    pub(crate) async fn bundles(
        &mut self,
        seen: impl IntoIterator<Item = &Seen>,
        shape: Shape,
    ) -> Result<Bundles> {
        let parents = seen.into_iter().map(|seen| &*seen.placed.known);
        let parents: Vec<&KnownEvent> = parents.filter(|known| !known.event.is_state()).collect();
        if parents.is_empty() {
            return Ok(Bundles::new());
        }
        let (children, hidden) = self.children(&parents).await?;
        let rows = |with: &dyn Fn(&str) -> bool| -> Vec<EventRow> {
            let with = parents
                .iter()
                .filter(|known| with(known.event.id().as_str()));
            with.map(|known| known.row).collect()
        };
        let db = self.room.context.store.reader();
        let roots = rows(&|id| children.threads.contains_key(id));
        let latest = relations::latest_replies(db, &roots, &hidden).await?;
        let mut editable = rows(&|id| children.edited.contains(id));
        editable.extend(latest.values());
        let edits = relations::latest_edits(db, &editable, &hidden).await?;
        let referred: Vec<&EventId> = parents
            .iter()
            .map(|known| known.event.id())
            .filter(|id| children.referred.contains(id.as_str()))
            .collect();
        let limit = Limit::new(REFERENCES_MAX);
        let room = self.room.meta.row;
        let mut references = relations::references(db, room, &referred, &hidden, limit).await?;
        let shown: BTreeSet<EventRow> = latest.values().chain(edits.values()).copied().collect();
        let shown = self.shown(shown).await?;
        let mut bundles = Bundles::new();
        for parent in parents {
            let id = parent.event.id().as_str();
            let replace = match edits.get(&parent.row).and_then(|edit| shown.get(edit)) {
                Some(edit) => Some(self.render_bundled(edit, None, shape).await?),
                None => None,
            };
            let reply = latest.get(&parent.row).and_then(|reply| shown.get(reply));
            let thread = match (reply, children.threads.get(id)) {
                (Some(reply), Some(replies)) => {
                    let edit = edits
                        .get(&reply.placed.row)
                        .and_then(|edit| shown.get(edit));
                    let by_reader = parent.event.sender() == self.reader.user_id;
                    Some(Thread {
                        latest_event: self.render_reply(reply, edit, shape).await?,
                        count: replies.count,
                        current_user_participated: replies.own || by_reader,
                    })
                }
                _ => None,
            };
            let reference = references.remove(id).map(|ids| References {
                chunk: ids
                    .into_iter()
                    .map(|event_id| Reference { event_id })
                    .collect(),
            });
            if replace.is_some() || thread.is_some() || reference.is_some() {
                let bundle = Bundle {
                    replace,
                    reference,
                    thread,
                };
                bundles.insert(parent.row, bundle);
            }
        }
        Ok(bundles)
    }

    /// Which events have which children that the reader sees, and which children they do not see.
    async fn children(&mut self, parents: &[&KnownEvent]) -> Result<(Children, Hidden)> {
        let ids: Vec<&EventId> = parents.iter().map(|known| known.event.id()).collect();
        let horizon = self.access.horizon();
        let db = self.room.context.store.reader();
        let groups = relations::groups(db, self.room.meta.row, &ids, horizon).await?;
        self.meet(groups.iter().filter_map(|group| group.snapshot))
            .await?;
        let (mut senders, mut snapshots) = (BTreeSet::new(), BTreeSet::new());
        let mut children = Children::default();
        for group in groups {
            let ignored = <&UserId>::try_from(group.sender.as_str())
                .is_ok_and(|sender| self.ignored.contains(sender));
            let invisible = !self.sees_in(group.snapshot);
            if ignored {
                senders.insert(group.sender.clone());
            }
            if invisible {
                snapshots.extend(group.snapshot);
            }
            if !ignored && !invisible {
                children.add(group, &self.reader.user_id);
            }
        }
        let hidden = Hidden {
            senders: senders.into_iter().collect(),
            snapshots: snapshots.into_iter().collect(),
            behind: horizon,
        };
        Ok((children, hidden))
    }

    /// The children of these rows that the reader sees.
    async fn shown(&mut self, rows: BTreeSet<EventRow>) -> Result<HashMap<EventRow, Seen>> {
        let rows: Vec<EventRow> = rows.into_iter().collect();
        let context = &self.room.context;
        let known = context.events.find_many(&context.metas, &rows).await?;
        // They lie within what the reader may see: where exactly does not matter.
        let placed = known.into_iter().map(|known| Placed {
            spot: Spot::MIN,
            known,
            gap: false,
        });
        let seen = self.filter(placed.collect()).await?;
        let by_row = seen.into_iter().map(|seen| (seen.placed.row, seen));
        Ok(by_row.collect())
    }

    /// The last reply of a thread, with its own edit.
    async fn render_reply(
        &self,
        reply: &Seen,
        edit: Option<&Seen>,
        shape: Shape,
    ) -> Result<Raw<AnyTimelineEvent>> {
        let Some(edit) = edit else {
            return self.render_bundled(reply, None, shape).await;
        };
        let bundle = Bundle {
            replace: Some(self.render_bundled(edit, None, shape).await?),
            ..Bundle::default()
        };
        self.render_bundled(reply, Some(&bundle), shape).await
    }
}
