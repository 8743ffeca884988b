//! What a filter says of relations: client-server API, "Filtering", and MSC3874. ruma does not read these keys.

use ruma::{EventId, OwnedUserId};
use serde::Deserialize;
use spec::{event::Event, relation::Relation};
use storage::relations;

use crate::{Result, events::Placed, read::view::View};

/// Which events are wanted by what they relate to, and by what relates to them. All conditions have to hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RelationFilter {
    /// One of these has sent something that relates to the event.
    related_by_senders: Option<Vec<OwnedUserId>>,
    /// Something relates to the event in one of these ways.
    related_by_rel_types: Option<Vec<String>>,
    /// It relates to another in one of these ways.
    #[serde(alias = "org.matrix.msc3874.rel_types")]
    rel_types: Option<Vec<String>>,
    /// It relates to another in none of these ways.
    #[serde(alias = "org.matrix.msc3874.not_rel_types")]
    not_rel_types: Vec<String>,
}

impl RelationFilter {
    /// The filter in the JSON of a whole filter.
    ///
    /// # Errors
    /// [`crate::Error::BadJson`]: a key has a value of the wrong kind.
    pub fn parse(filter: &str) -> Result<Self> {
        serde_json::from_str(filter).map_err(|_| {
            crate::Error::BadJson("The filter has values of the wrong kind".to_owned())
        })
    }

    /// The filter of the timeline in the JSON of a filter of sync.
    ///
    /// # Errors
    /// [`crate::Error::BadJson`]: a key has a value of the wrong kind.
    pub fn of_timeline(filter: &str) -> Result<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Filter {
            room: Room,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Room {
            timeline: RelationFilter,
        }
        let filter: Filter = serde_json::from_str(filter).map_err(|_| {
            crate::Error::BadJson("The filter has values of the wrong kind".to_owned())
        })?;
        Ok(filter.room.timeline)
    }

    /// Whether it lets through what `event` itself says.
    fn allows(&self, event: &Event) -> bool {
        let rel_type = Relation::of(event).map(|relation| relation.rel_type);
        let among = |list: &[String]| rel_type.is_some_and(|it| list.iter().any(|one| one == it));
        !among(&self.not_rel_types) && self.rel_types.as_deref().is_none_or(among)
    }

    /// Those of `events` that are wanted, in the same order. No query unless it is asked what relates to them.
    pub(crate) async fn wanted(
        &self,
        view: &View<'_>,
        mut events: Vec<Placed>,
    ) -> Result<Vec<Placed>> {
        events.retain(|placed| self.allows(&placed.event));
        if self.related_by_senders.is_none() && self.related_by_rel_types.is_none() {
            return Ok(events);
        }
        let senders = self.related_by_senders.as_deref();
        let senders: Option<Vec<String>> =
            senders.map(|senders| senders.iter().map(ToString::to_string).collect());
        let rel_types = self.related_by_rel_types.as_deref();
        let ids: Vec<&EventId> = events.iter().map(|placed| placed.event.id()).collect();
        let (db, room) = (view.room.context.store.reader(), view.room.meta.row);
        let related =
            relations::related_among(db, room, &ids, rel_types, senders.as_deref()).await?;
        events.retain(|placed| related.contains(placed.event.id().as_str()));
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_filter_is_read_and_wrong_kinds_are_refused() {
        for (filter, is_one) in [
            ("{}", true),
            (
                r#"{"types": ["m.room.message"], "related_by_rel_types": ["m.thread"]}"#,
                true,
            ),
            (
                r#"{"related_by_senders": ["@a:b"], "org.matrix.msc3874.rel_types": []}"#,
                true,
            ),
            (r#"{"related_by_senders": ["nobody"]}"#, false),
            (r#"{"related_by_rel_types": "m.thread"}"#, false),
        ] {
            assert_eq!(RelationFilter::parse(filter).is_ok(), is_one, "{filter}");
        }
    }
}
