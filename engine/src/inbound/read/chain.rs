//! Auth chains: server-server API, "Auth chain".

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};
use spec::event::Event;
use storage::events;

use crate::{Error, Result, rooms::RoomHandle};

impl RoomHandle {
    /// All events that permit `events`, directly or not; of these themselves only those that permit others. Oldest first. A
    /// query for each generation of 256.
    pub(crate) async fn auth_chain(&self, events: &[Arc<Event>]) -> Result<Vec<Arc<Event>>> {
        let mut chain: HashMap<OwnedEventId, Arc<Event>> = events
            .iter()
            .map(|event| (event.id().to_owned(), event.clone()))
            .collect();
        let mut youngest: Vec<Arc<Event>> = events.to_vec();
        let mut unknown: BTreeSet<OwnedEventId> = BTreeSet::new();
        while !youngest.is_empty() {
            let wanted: BTreeSet<&EventId> = youngest
                .iter()
                .flat_map(|event| event.auth_events())
                .filter(|id| !chain.contains_key(*id) && !unknown.contains(*id))
                .map(AsRef::as_ref)
                .collect();
            let wanted: Vec<&EventId> = wanted.into_iter().collect();
            let stored = events::by_ids(self.context.store.reader(), &wanted).await?;
            let stored = stored
                .into_iter()
                .filter(|stored| stored.room == self.meta.row)
                .collect();
            unknown.extend(wanted.into_iter().map(ToOwned::to_owned));
            let known = self
                .context
                .events
                .known(&self.context.metas, stored)
                .await?;
            youngest = known.iter().map(|known| known.event.clone()).collect();
            for event in &youngest {
                chain.insert(event.id().to_owned(), event.clone());
            }
        }
        let permitting: BTreeSet<OwnedEventId> = chain
            .values()
            .flat_map(|event| event.auth_events().iter().cloned())
            .collect();
        let create = self.implied_create().await?;
        if let Some(create) = &create {
            chain.remove(create.id());
        }
        let mut chain: Vec<Arc<Event>> = chain
            .into_values()
            .filter(|event| permitting.contains(event.id()))
            .collect();
        chain.sort_by(|a, b| (a.depth(), a.id()).cmp(&(b.depth(), b.id())));
        if let Some(create) =
            create.filter(|create| events.iter().any(|event| event.id() != create.id()))
        {
            chain.insert(0, create);
        }
        Ok(chain)
    }

    /// The event that made the room, where it permits all others without being named.
    async fn implied_create(&self) -> Result<Option<Arc<Event>>> {
        if !self.meta.version.auth.implied_create {
            return Ok(None);
        }
        let create = EventId::parse(self.meta.id.as_str().replacen('!', "$", 1));
        let create = create.map_err(|_| Error::Internal("the id of a room".to_owned()))?;
        Ok(Some(self.known(&create).await?.event.clone()))
    }
}
