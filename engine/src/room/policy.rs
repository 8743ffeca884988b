//! The policy server of a room, as its worker sees it: server-server API, "Policy Servers".
//!
//! Whether an event has the signature that it needs is decided here, by the current state, and without waiting for
//! anybody. What lacks it leaves the worker, is signed (`remote/policy.rs`) and comes back ([`Room::place_signed`]): a policy
//! server that is slow holds up only those who wait for its word, neither this room nor others. What came into the room
//! in between stands beside the event then, as if both were sent from different servers. Where nothing came the event is
//! placed as cheaply as any other.
//!
//! What is checked is what comes in for the room as it is now: the word of a policy server is a matter of soft failure, which
//! goes by the current state. Older history and the state of a room that is entered come with the rules of their own
//! time, when the room may have had another policy server or none, and are taken without its word. What was
//! soft-failed stays so, as with the other reasons for that.

use std::sync::Arc;

use ruma::{EventId, OwnedUserId, ServerName, UserId};
use spec::{
    event::{Draft, Event},
    policy::{self, POLICY, PolicyServer},
};
use storage::{Limit, Logged, Plain, SnapshotRow, members, write::Outcome, write::Txn};

use super::{Room, extremities::DUMMY, receive::is_placed, send::Sent};
use crate::{Error, Result, events::KnownEvent, states::StateMap};

/// How many joined users of the policy server are looked at for one who is still joined.
const USERS_MAX: u64 = 100;

/// What the worker remembers of the policy server.
#[derive(Default)]
pub(super) struct Policy {
    /// The one that the state names.
    named: Option<PolicyServer>,
    /// A user of it who was joined when this was last looked at.
    joined: Option<OwnedUserId>,
    /// A state in which nobody of it was.
    absent: Option<StateMap>,
}

impl Policy {
    /// Whether the state names a policy server, be it in the room or not.
    pub(super) fn is_named(&self) -> bool {
        self.named.is_some()
    }
}

/// A local event that lacks the signature of the policy server.
pub(crate) struct Unsigned {
    pub(crate) event: Event,
    pub(crate) txn: Option<Txn>,
    pub(crate) policy: PolicyServer,
}

impl Room {
    /// Reads from the state which policy server it names.
    pub(super) async fn read_policy(&mut self) -> Result<()> {
        let event = self.state_event(POLICY, "").await?;
        let named = event.and_then(|known| PolicyServer::parse(known.event.content()));
        self.name_policy(named);
        Ok(())
    }

    /// Keeps up with an event that has become state.
    pub(super) fn follow_policy(&mut self, event: &Event) {
        if event.is(POLICY, "") {
            self.name_policy(PolicyServer::parse(event.content()));
        }
    }

    fn name_policy(&mut self, named: Option<PolicyServer>) {
        // This server signs nothing for rooms: who names it has no policy server, as with Synapse.
        let named = named.filter(|policy| policy.name() != self.context.server_name);
        if self.policy.named != named {
            self.policy = Policy {
                named,
                ..Policy::default()
            };
        }
    }

    /// The policy server that has to sign an event of this kind now.
    pub(crate) async fn policy_for(
        &mut self,
        event_type: &str,
        state_key: Option<&str>,
    ) -> Result<Option<PolicyServer>> {
        let Some(policy) = self.policy.named.clone() else {
            return Ok(None);
        };
        if !policy::is_subject(event_type, state_key) || !self.is_in_room(policy.name()).await? {
            return Ok(None);
        }
        Ok(Some(policy))
    }

    /// The policy server that has not signed an event as it must.
    pub(crate) async fn policy_against(&mut self, event: &Event) -> Result<Option<PolicyServer>> {
        let policy = self
            .policy_for(event.event_type(), event.state_key())
            .await?;
        let version = self.meta.version;
        Ok(policy.filter(|policy| !policy.recommends(version, event)))
    }

    /// Whether a user of the policy server is joined in the current state.
    async fn is_in_room(&mut self, server: &ServerName) -> Result<bool> {
        if let Some(user) = self.policy.joined.clone()
            && self.is_joined(&user).await?
        {
            return Ok(true);
        }
        self.policy.joined = None;
        if self.policy.absent.as_ref() == Some(&self.state) {
            return Ok(false);
        }
        for user in self.users_of(server).await? {
            if self.is_joined(&user).await? {
                self.policy.joined = Some(user);
                return Ok(true);
            }
        }
        self.policy.absent = Some(self.state.clone());
        Ok(false)
    }

    async fn is_joined(&self, user: &UserId) -> Result<bool> {
        Ok(self.membership(user).await?.as_deref() == Some("join"))
    }

    /// Users of a server who may be joined: those of the batch, and those on disk.
    async fn users_of(&self, server: &ServerName) -> Result<Vec<OwnedUserId>> {
        let logged = self.batch.logged.iter().filter_map(|logged| match logged {
            Logged::Event(new) => Some(new.memberships().map(|(_, member)| member)),
            _ => None,
        });
        let logged = logged.flatten();
        let plain = self.batch.plain.iter().filter_map(|plain| match plain {
            Plain::Membership { membership, .. } => Some(membership),
            _ => None,
        });
        let users = logged.chain(plain).map(|member| member.user_id.clone());
        let mut users: Vec<_> = users.filter(|user| user.server_name() == server).collect();
        // What was committed may be on its way.
        self.flushed().await.wait().await?;
        let db = self.context.store.reader();
        let limit = Limit::new(USERS_MAX);
        let joined = members::joined_of_server(db, self.meta.row, server, limit).await?;
        users.extend(
            joined
                .into_iter()
                .filter_map(|user| UserId::parse(user).ok()),
        );
        Ok(users)
    }

    /// A local event that waits for the policy server; `None` if it needs not.
    pub(super) async fn unsigned(
        &mut self,
        draft: &Draft,
        txn: Option<&Txn>,
    ) -> Result<Option<Sent>> {
        let state_key = draft.state_key.as_deref();
        let Some(policy) = self.policy_for(&draft.event_type, state_key).await? else {
            return Ok(None);
        };
        let event = self.propose(draft.clone()).await?;
        Ok(Some(Sent::Unsigned(Box::new(Unsigned {
            event,
            txn: txn.cloned(),
            policy,
        }))))
    }

    /// Puts a local event into the room that was proposed a while ago and has been signed since.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the rules refuse it by now. [`Error::DuplicateAnnotation`]: the same was said meanwhile. Nothing
    /// has changed then.
    pub(crate) async fn place_signed(&mut self, event: Event, txn: Option<Txn>) -> Result<Sent> {
        if let Some(sent) = self.repeated(event.sender().as_str(), txn.as_ref()).await {
            return Ok(sent);
        }
        if let Some(policy) = self.policy_against(&event).await? {
            return Ok(Sent::Unsigned(Box::new(Unsigned { event, txn, policy })));
        }
        // Another that says the same may have been signed at the same time.
        self.check_relation_of(event.sender(), event.event_type(), event.content())
            .await?;
        if event.event_type() == DUMMY {
            self.merges_go_on();
        }
        let id = event.id().to_owned();
        self.place_proposed(event, txn).await?;
        Ok(self.sent(&id).await)
    }

    /// Puts a local event that was proposed a while ago into the room; the caller commits.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: the rules refuse it by now. Nothing has changed then.
    pub(super) async fn place_proposed(&mut self, event: Event, txn: Option<Txn>) -> Result<()> {
        let heads = self
            .extremities
            .iter()
            .map(|extremity| &extremity.parent.id);
        if heads.eq(event.prev_events()) {
            self.advance(event, txn).await.map(drop)
        } else {
            self.place_beside(event, txn).await
        }
    }

    async fn place_beside(&mut self, event: Event, txn: Option<Txn>) -> Result<()> {
        let parents: Vec<&EventId> = event.prev_events().iter().map(AsRef::as_ref).collect();
        let auth: Vec<&EventId> = event.auth_events().iter().map(AsRef::as_ref).collect();
        let mut at_hand = self.find(&parents).await?;
        let missing = self.missing(&parents, &mut at_hand, is_placed).await?;
        let missing_auth = self.missing(&auth, &mut at_hand, |_| true).await?;
        if !missing.is_empty() || !missing_auth.is_empty() {
            return Err(refused_by_now());
        }
        let mut hints: Vec<SnapshotRow> = Vec::new();
        let mut states = Vec::with_capacity(parents.len());
        for parent in parents.iter().filter_map(|id| at_hand.get(*id)) {
            hints.extend(parent.snapshot);
            states.push(self.state_after(parent).await?);
        }
        hints.extend(self.lineage.row());
        let before = self.resolve(states).await?;
        if self.judge(&event, None, &before, &at_hand).await? != Outcome::Accepted {
            return Err(refused_by_now());
        }
        let snapshot = self.snapshot_of(&before, &hints).await?;
        self.accept_own(event, before, snapshot, txn).await?;
        Ok(())
    }

    /// Puts an accepted event of this server into the room.
    pub(super) async fn accept_own(
        &mut self,
        event: Event,
        before: StateMap,
        snapshot: Option<SnapshotRow>,
        txn: Option<Txn>,
    ) -> Result<Arc<KnownEvent>> {
        if let Some(txn) = &txn {
            let (sender, id) = (event.sender().as_str(), event.id().to_owned());
            self.recent_sends.remember(sender, txn, id);
        }
        let placed = self
            .accept(event, None, before, snapshot, true, false)
            .await?;
        self.recent_annotations.remember(&placed.event, placed.row);
        if let Some(Logged::Event(new)) = self.batch.logged.last_mut() {
            new.txn = txn.clone();
        }
        let known = Arc::new(KnownEvent {
            txn,
            ..placed.as_ref().clone()
        });
        self.context.events.put(Arc::clone(&known));
        Ok(known)
    }
}

fn refused_by_now() -> Error {
    Error::Forbidden("The room has changed meanwhile, and its rules refuse it by now".to_owned())
}
