//! Drafts of membership events for other servers to sign, and events that need another server's signature.

use spec::{
    auth,
    event::{Draft, Event, Parent},
    json::Object,
};

use super::{Deciding, Room, extremities::PARENTS_MAX};
use crate::{Error, Result};

impl Room {
    /// An event upon the head that is neither written nor moves the head: for somebody else to sign first.
    ///
    /// # Errors
    /// [`crate::Error::Denied`]: the rules refuse it.
    pub(crate) async fn propose(&self, draft: Draft) -> Result<Event> {
        if self.extremities.len() > PARENTS_MAX {
            return Ok(self.seal_upon_some(draft).await?.0);
        }
        let (deciding, auth_parents) = self.auth_for(&draft).await?;
        let parents = self.parents();
        let now = self.context.clock.now_ms();
        let seed = self.context.chance.secret();
        let event = draft
            .seal(
                self.meta.version,
                &parents,
                &auth_parents,
                now,
                &seed,
                &self.context.key,
            )
            .map_err(super::refusal)?;
        self.authorise(&event, &deciding)?;
        Ok(event)
    }

    /// Whether users of other servers may be in the room.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: its create event says no.
    pub(crate) fn check_federates(&self) -> Result<()> {
        let create = self.deciding.as_ref().map(auth::Head::create);
        if create.is_some_and(|create| !create.federates()) {
            return Err(Error::Forbidden(
                "This room is for users of its own server only".to_owned(),
            ));
        }
        Ok(())
    }

    /// The same as a draft: without what the other server puts in itself.
    ///
    /// # Errors
    /// [`crate::Error::Denied`]: the rules refuse it.
    pub(crate) async fn draft_template(&self, draft: Draft) -> Result<Object> {
        let mut template = self.propose(draft).await?.object().clone();
        for key in ["hashes", "signatures", "event_id"] {
            template.remove(key);
        }
        Ok(template)
    }

    /// What an event upon the head follows.
    pub(super) fn parents(&self) -> Vec<Parent> {
        let best = self.best_parents().into_iter();
        best.map(|(_, parent)| parent).collect()
    }

    /// The current state events that decide about a draft, and how the event names them.
    pub(super) async fn auth_for(&self, draft: &Draft) -> Result<(Deciding, Vec<Parent>)> {
        let needed = auth::needed(
            self.meta.version,
            draft.sender.as_str(),
            &draft.event_type,
            draft.state_key.as_deref(),
            &draft.content,
        );
        let mut deciding = Deciding::default();
        let mut parents = Vec::with_capacity(needed.len());
        for (event_type, state_key) in needed {
            if let Some(known) = self.state_event(event_type, &state_key).await? {
                parents.push(Parent::of(self.meta.version, &known.event));
                deciding.add(known.event.clone());
            }
        }
        Ok((deciding, parents))
    }

    /// Whether the current state allows an event.
    pub(super) fn authorise(&self, event: &Event, deciding: &Deciding) -> Result<()> {
        match &self.deciding {
            Some(head) => head.check(self.meta.version, event, deciding)?,
            None => auth::check(self.meta.version, event, deciding)?,
        }
        Ok(())
    }
}
