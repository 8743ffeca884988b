//! Whether the rules allow an event of another server: by its own auth events, and by a state.

use std::{collections::HashMap, sync::Arc};

use ruma::{EventId, OwnedEventId};
use spec::{
    auth::{self, Denied},
    event::Event,
};
use storage::{EventRow, events, write::Outcome};

use super::{Room, receive::ById};
use crate::{Result, states::StateMap};

impl Room {
    /// Whether an event's own auth events, which are at hand, are the right ones and allow it.
    pub(super) async fn permitted_by(
        &self,
        event: &Event,
        at_hand: &ById,
    ) -> Result<std::result::Result<(), Denied>> {
        let auth = event.auth_events().iter();
        let pairs: Vec<(Arc<Event>, bool)> = auth
            .filter_map(|id| at_hand.get(id))
            .map(|known| (known.event.clone(), known.outcome == Outcome::Rejected))
            .collect();
        let create = self.implied_create(&HashMap::new()).await?;
        Ok(self.permitted(event, &pairs, create))
    }

    /// The same, with the auth events and whether each was rejected, and the create event where it is implied.
    pub(super) fn permitted(
        &self,
        event: &Event,
        auth: &[(Arc<Event>, bool)],
        create: Option<Arc<Event>>,
    ) -> std::result::Result<(), Denied> {
        let pairs = auth
            .iter()
            .map(|(event, rejected)| (event.as_ref(), *rejected));
        auth::check_auth_events(self.meta.version, event, pairs)?;
        let mut deciding = super::Deciding::default();
        for (event, _) in auth {
            deciding.add(event.clone());
        }
        if let Some(create) = create {
            deciding.add(create);
        }
        auth::check(self.meta.version, event, &deciding)
    }

    /// Whether a state allows an event.
    pub(super) async fn allowed_by(
        &self,
        event: &Event,
        state: &StateMap,
    ) -> Result<std::result::Result<(), Denied>> {
        let needed = auth::needed(
            self.meta.version,
            event.sender().as_str(),
            event.event_type(),
            event.state_key(),
            event.content(),
        );
        let mut pairs: Vec<(&str, &str)> =
            needed.iter().map(|(of, key)| (*of, key.as_str())).collect();
        pairs.push(("m.room.create", ""));
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let rows: Vec<EventRow> = keys
            .into_iter()
            .flatten()
            .filter_map(|key| state.get(&key).copied())
            .collect();
        let mut deciding = super::Deciding::default();
        for known in self
            .context
            .events
            .get_many(&self.context.metas, &rows)
            .await?
        {
            deciding.add(known.event.clone());
        }
        if let Some(create) = self.implied_create(&HashMap::new()).await? {
            deciding.add(create);
        }
        Ok(auth::check(self.meta.version, event, &deciding))
    }

    /// From version 12 on the create event is implied: it decides without being among the auth events. It is the current
    /// one, one of those at hand, or stored.
    pub(super) async fn implied_create(
        &self,
        at_hand: &HashMap<OwnedEventId, (Arc<Event>, bool)>,
    ) -> Result<Option<Arc<Event>>> {
        if !self.meta.version.auth.implied_create {
            return Ok(None);
        }
        if let Some(create) = self.state_event("m.room.create", "").await? {
            return Ok(Some(create.event.clone()));
        }
        let Ok(id) = EventId::parse(self.meta.id.as_str().replacen('!', "$", 1)) else {
            return Ok(None);
        };
        if let Some((create, _)) = at_hand.get(&id) {
            return Ok(Some(create.clone()));
        }
        let Some(stored) = events::by_id(self.context.store.reader(), &id).await? else {
            return Ok(None);
        };
        let known = self
            .context
            .events
            .get(&self.context.metas, stored.id)
            .await?;
        Ok(Some(known.event.clone()))
    }
}
