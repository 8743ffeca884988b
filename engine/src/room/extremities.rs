//! Keeping the forward extremities few: what no event follows yet is never dropped, but brought together.
//!
//! Each extremity costs at every step of state resolution. When there are many, this server sends an event that follows
//! them all, as Synapse does: clients do not see it.

use std::{cmp::Reverse, sync::Arc};

use ruma::{OwnedUserId, UserId};
use spec::{
    auth::{self, Power},
    event::{Draft, Event, Parent},
    json::Object,
};
use storage::{EventRow, Limit, SnapshotRow, members, write::Txn};

use super::{Room, policy::Unsigned, refusal, resolve::resolve};
use crate::{Error, Result, events::KnownEvent, states::StateMap};

/// The type of the event that brings extremities together: Synapse's name for it.
pub(crate) const DUMMY: &str = "org.matrix.dummy_event";

/// How many parents an event has at most: server-server API, "PDUs".
pub(super) const PARENTS_MAX: usize = 20;

/// With more extremities than this they are brought together: Synapse's limit.
pub(super) const EXTREMITIES_MAX: usize = 10;

/// How many users are tried as sender, the most powerful first.
const SENDERS_MAX: usize = 10;

/// How many users of this server are looked through for the most powerful ones.
const USERS_MAX: usize = 1_000;

/// How many events one batch may bring extremities together with; the next one goes on.
const MERGES_MAX: usize = 10;

impl Room {
    /// Brings the extremities together if there are many, with the batch that is being built. Where no user of this
    /// server may send the event, they stay until more have come.
    pub(super) async fn merge_extremities(&mut self) -> Result<()> {
        for _ in 0..MERGES_MAX {
            if self.extremities.len() <= self.merge_above {
                return Ok(());
            }
            if !self.merge_some().await? {
                self.merge_above = self.extremities.len() + EXTREMITIES_MAX;
                return Ok(());
            }
            self.merge_above = EXTREMITIES_MAX;
        }
        Ok(())
    }

    /// Sends an event that follows as many extremities as it may; whether somebody could.
    async fn merge_some(&mut self) -> Result<bool> {
        for sender in self.dummy_senders().await? {
            match self.append_upon_some(self.dummy(sender), None).await {
                Ok(_) => return Ok(true),
                Err(Error::Denied(denied)) => {
                    tracing::debug!(room = %self.meta.id, %denied, "cannot bring extremities together");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn dummy(&self, sender: OwnedUserId) -> Draft {
        Draft {
            room_id: Some(self.meta.id.clone()),
            sender,
            event_type: DUMMY.to_owned(),
            state_key: None,
            content: Object::new(),
            redacts: None,
        }
    }

    /// The same where a policy server must sign the event first, one event at a time: `None` if there are few
    /// extremities, or nobody may send it. Until it is placed nothing more is proposed for a while.
    pub(crate) async fn propose_merge(&mut self) -> Result<Option<Unsigned>> {
        if self.extremities.len() <= self.merge_above {
            return Ok(None);
        }
        self.merge_above = self.extremities.len() + EXTREMITIES_MAX;
        let Some(policy) = self.policy_for(DUMMY, None).await? else {
            return Ok(None);
        };
        for sender in self.dummy_senders().await? {
            match self.seal_upon_some(self.dummy(sender)).await {
                Ok((event, _)) => {
                    return Ok(Some(Unsigned {
                        event,
                        txn: None,
                        policy,
                    }));
                }
                Err(Error::Denied(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether [`Room::propose_merge`] would have something to do.
    pub(crate) fn wants_signed_merge(&self) -> bool {
        self.policy.is_named() && self.extremities.len() > self.merge_above
    }

    /// Such an event has been placed.
    pub(super) fn merges_go_on(&mut self) {
        self.merge_above = EXTREMITIES_MAX;
    }

    /// Joined users of this server who have the level for it, the most powerful first.
    async fn dummy_senders(&self) -> Result<Vec<OwnedUserId>> {
        let Some(head) = &self.deciding else {
            return Ok(Vec::new());
        };
        let own = &self.context.server_name;
        let db = self.context.store.reader();
        let joined =
            members::joined_of_server(db, self.meta.row, own, Limit::from(USERS_MAX)).await?;
        let levels = head.power_levels();
        let needed = Power::Level(levels.for_event(DUMMY, false));
        let mut able: Vec<(Reverse<Power>, OwnedUserId)> = joined
            .into_iter()
            .filter_map(|user| UserId::parse(user).ok())
            .map(|user| (Reverse(levels.user(user.as_str())), user))
            .filter(|(Reverse(power), _)| *power >= needed)
            .collect();
        able.sort();
        able.truncate(SENDERS_MAX);
        Ok(able.into_iter().map(|(_, user)| user).collect())
    }

    /// The extremities that an event follows if it cannot follow all: the deepest, so that little is left behind.
    pub(super) fn best_parents(&self) -> Vec<(EventRow, Parent)> {
        let extremities = self.extremities.iter();
        let mut best: Vec<(EventRow, Parent)> = extremities
            .map(|extremity| (extremity.row, extremity.parent.clone()))
            .collect();
        if best.len() > PARENTS_MAX {
            best.sort_by_key(|(_, parent)| Reverse(parent.depth));
            best.truncate(PARENTS_MAX);
        }
        best
    }

    /// Builds an event that follows some of the extremities and leaves the others. The state before it is that of its
    /// parents, by which other servers judge it, and the current state must allow it as well.
    ///
    /// # Errors
    /// [`Error::Denied`]: the rules refuse it. Nothing has changed then.
    pub(super) async fn append_upon_some(
        &mut self,
        draft: Draft,
        txn: Option<Txn>,
    ) -> Result<Arc<KnownEvent>> {
        let (event, before) = self.seal_upon_some(draft).await?;
        let hints: Vec<SnapshotRow> = self.lineage.row().into_iter().collect();
        let snapshot = self.snapshot_of(&before, &hints).await?;
        self.accept_own(event, before, snapshot, txn).await
    }

    /// The same event, neither written nor moving the head, and the state before it.
    pub(super) async fn seal_upon_some(&self, draft: Draft) -> Result<(Event, StateMap)> {
        let parents = self.best_parents();
        let mut states = Vec::with_capacity(parents.len());
        let rows: Vec<EventRow> = parents.iter().map(|(row, _)| *row).collect();
        let context = &self.context;
        for known in context.events.get_many(&context.metas, &rows).await? {
            states.push(self.state_after(&known).await?);
        }
        let before = resolve(self.of(), states).await?;
        let parents: Vec<Parent> = parents.into_iter().map(|(_, parent)| parent).collect();
        let auth_parents = self.auth_in(&draft, &before).await?;
        let (now, seed) = (self.context.clock.now_ms(), self.context.chance.secret());
        let (version, key) = (self.meta.version, &self.context.key);
        let event = draft
            .seal(version, &parents, &auth_parents, now, &seed, key)
            .map_err(refusal)?;
        let current = self.state.clone();
        for state in [&before, &current] {
            self.allowed_by(&event, state).await??;
        }
        Ok((event, before))
    }

    /// The events of a state that decide about a draft, as the event names them.
    async fn auth_in(&self, draft: &Draft, state: &StateMap) -> Result<Vec<Parent>> {
        let needed = auth::needed(
            self.meta.version,
            draft.sender.as_str(),
            &draft.event_type,
            draft.state_key.as_deref(),
            &draft.content,
        );
        let pairs: Vec<(&str, &str)> = needed.iter().map(|(of, key)| (*of, key.as_str())).collect();
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let rows = keys.into_iter().flatten();
        let rows: Vec<EventRow> = rows.filter_map(|key| state.get(&key).copied()).collect();
        let context = &self.context;
        let known = context.events.get_many(&context.metas, &rows).await?;
        let parent = |known: &Arc<KnownEvent>| Parent::of(self.meta.version, &known.event);
        Ok(known.iter().map(parent).collect())
    }
}
