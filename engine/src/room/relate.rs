//! What an event of a client may relate to, and how: client-server API, "Annotations and reactions" and "Threading".

use std::collections::{HashMap, VecDeque};

use ruma::{OwnedEventId, OwnedUserId, UserId};
use spec::{
    event::{Draft, Event},
    json::Object,
    relation::{ANNOTATION, Relation, THREAD},
};
use storage::{EventRow, relations};

use super::Room;
use crate::{Error, Result};

/// How many annotations are remembered while they are on their way to the disk. Some 200 bytes each.
const ANNOTATIONS_MAX: usize = 1_024;

/// What may be there once only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Annotation {
    sender: OwnedUserId,
    event_type: String,
    parent: OwnedEventId,
    key: String,
}

/// The latest annotations of a room: their writes may still be on their way to the disk, so that a query would not find
/// them.
#[derive(Default)]
pub(super) struct RecentAnnotations {
    rows: HashMap<Annotation, EventRow>,
    order: VecDeque<Annotation>,
}

impl RecentAnnotations {
    /// Forgets events that are about to be deleted.
    pub(super) fn forget(&mut self, rows: &[EventRow]) {
        self.rows.retain(|_, row| !rows.contains(row));
        self.order
            .retain(|annotation| self.rows.contains_key(annotation));
    }

    /// Remembers an event, if it annotates another.
    pub(super) fn remember(&mut self, event: &Event, row: EventRow) {
        let Some(relation) = Relation::of(event) else {
            return;
        };
        let Some(key) = relation.key else { return };
        let annotation = Annotation {
            sender: event.sender().to_owned(),
            event_type: event.event_type().to_owned(),
            parent: relation.parent.to_owned(),
            key: key.to_owned(),
        };
        if self.rows.insert(annotation.clone(), row).is_some() {
            return;
        }
        self.order.push_back(annotation);
        if self.order.len() > ANNOTATIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
    }
}

impl Room {
    /// Refuses what relates to another event in a way that no client may.
    ///
    /// # Errors
    /// [`Error::DuplicateAnnotation`]: the sender has annotated the event so already. [`Error::Refused`]: a thread on an
    /// event that relates to another one.
    pub(super) async fn check_relation(&self, draft: &Draft) -> Result<()> {
        self.check_relation_of(&draft.sender, &draft.event_type, &draft.content)
            .await
    }

    /// The same for an event of `sender`, of this type and with this content.
    pub(super) async fn check_relation_of(
        &self,
        sender: &UserId,
        event_type: &str,
        content: &Object,
    ) -> Result<()> {
        let relates_to = content.get("m.relates_to");
        let Some(relation) = relates_to.and_then(Relation::read) else {
            return Ok(());
        };
        match (relation.rel_type, relation.key) {
            (ANNOTATION, Some(key)) => {
                let annotation = Annotation {
                    sender: sender.to_owned(),
                    event_type: event_type.to_owned(),
                    parent: relation.parent.to_owned(),
                    key: key.to_owned(),
                };
                if self.is_annotated(&annotation).await? {
                    return Err(Error::DuplicateAnnotation);
                }
            }
            (THREAD, _) if self.is_related(relation.parent).await? => {
                return Err(Error::Refused(
                    "A thread cannot start at an event that relates to another one".to_owned(),
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether this annotation is there and was not redacted.
    async fn is_annotated(&self, annotation: &Annotation) -> Result<bool> {
        let Annotation {
            sender,
            event_type,
            parent,
            key,
        } = annotation;
        let (context, what) = (
            &self.context,
            (sender.as_ref(), event_type.as_str(), key.as_str()),
        );
        let db = context.store.reader();
        let mut rows = relations::annotations(db, self.meta.row, parent, what).await?;
        rows.extend(self.recent_annotations.rows.get(annotation));
        // A redaction may be on its way to the disk as well.
        let same = context.events.find_many(&context.metas, &rows).await?;
        Ok(same.iter().any(|known| known.redacted_by.is_none()))
    }
}
