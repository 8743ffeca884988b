//! A room, as its worker holds it: the head (what the next event is built upon), and the verbs that move it.
//!
//! Only the room's worker has a [`Room`], so that no verb needs a lock. A verb builds events with [`Room::append`],
//! which moves the head in memory, and hands all of them to the writer at once with [`Room::commit`]. It does not wait
//! for the disk: the next job builds on a head whose write is still on its way. If a write fails, all later ones of its
//! chain fail too, and the room is read again.

use std::{collections::BTreeSet, future, pin::Pin, sync::Arc};

use imbl::ordmap::DiffItem;
use ruma::{EventId, OwnedEventId, UserId};
use spec::{
    auth::{self, PowerLevels},
    event::{Draft, Event, Parent, SealError},
};
use storage::{
    Chain, Committed, EventRow, Logged, Plain, Write,
    members::Membership,
    rooms,
    snapshots::{self, Lineage},
    write::{NewEvent, NewMembership, Outcome, Place, RoomHead, Txn},
};

use self::{
    current::Resolution, recent_events::RecentEvents, recent_sends::RecentSends,
    redactions::Waiting,
};
use crate::{
    Error, Result, Subject, context::Context, events::KnownEvent, room_meta::RoomMeta,
    states::StateMap,
};

mod accept;
pub(crate) mod admit;
mod aside;
pub(crate) mod create;
mod current;
pub(crate) mod extremities;
mod fetched;
pub(crate) mod first_invites;
pub(crate) mod history;
pub(crate) mod membership;
mod permit;
pub(crate) mod policy;
pub(crate) mod profile;
pub(crate) mod receive;
mod recent_events;
mod recent_sends;
pub(crate) mod redact;
mod redactions;
mod relate;
mod resolve;
pub(crate) mod send;
mod summary;
mod template;
pub(crate) mod upgrade;

/// A room in the hands of its worker.
pub(crate) struct Room {
    pub(crate) context: Arc<Context>,
    pub(crate) meta: Arc<RoomMeta>,
    chain: Arc<Chain>,
    extremities: Vec<Extremity>,
    lineage: Lineage,
    state: StateMap,
    /// The create event, power levels and join rule of `state`, parsed; `None` before the create event.
    deciding: Option<auth::Head>,
    policy: policy::Policy,
    /// What the current job has built and not yet handed to the writer.
    batch: Write,
    recent_sends: RecentSends,
    waiting: Waiting,
    /// With more extremities than this they are to be brought together.
    merge_above: usize,
    /// Events that other servers have handed to this one so that it brings them to all, until they are taken in.
    relayed: BTreeSet<OwnedEventId>,
    /// Of what the stored summary of the room is made.
    shown: summary::Shown,
    recent_events: RecentEvents,
    last_resolution: Option<Resolution>,
    recent_annotations: relate::RecentAnnotations,
    /// By what room this one was replaced a moment ago.
    replaced: Option<upgrade::Replaced>,
}

/// An event that no event follows yet.
struct Extremity {
    row: EventRow,
    parent: Parent,
}

/// The future of a write that is on its way to the disk.
pub(crate) struct Pending(Pin<Box<dyn Future<Output = Result<Committed>> + Send>>);

impl Pending {
    /// Returns when the write is on disk.
    pub(crate) async fn wait(self) -> Result<Committed> {
        self.0.await
    }
}

impl Room {
    /// Reads a room from the store.
    pub(crate) async fn load(context: Arc<Context>, meta: Arc<RoomMeta>) -> Result<Self> {
        // Writes of an earlier life of this room may still be on their way: come behind them.
        context.store.write(Write::default()).await?;
        let db = context.store.reader();
        let stored = rooms::by_row(db, meta.row)
            .await?
            .ok_or(Error::NotFound(Subject::Room))?;
        // Whoever asks may have heard of the room before its version was known.
        let meta = context.metas.by_row(meta.row).await?;
        let lineage = match stored.snapshot {
            Some(snapshot) => snapshots::lineage(db, snapshot).await?,
            None => Lineage::empty(),
        };
        let state: StateMap = lineage.entries()?.into_iter().collect();
        let extremities = context
            .events
            .get_many(&context.metas, &stored.extremities()?)
            .await?
            .into_iter()
            .map(|known| Extremity {
                row: known.row,
                parent: Parent::of(meta.version, &known.event),
            })
            .collect();
        let mut room = Self {
            lineage,
            state,
            extremities,
            ..Self::empty(context, meta)
        };
        room.deciding = room.read_deciding().await?;
        room.read_policy().await?;
        room.waiting = room.read_waiting().await?;
        room.shown = room.read_shown().await?;
        Ok(room)
    }

    /// A room before its first event.
    pub(crate) fn empty(context: Arc<Context>, meta: Arc<RoomMeta>) -> Self {
        Self {
            context,
            meta,
            chain: Chain::new(),
            extremities: Vec::new(),
            lineage: Lineage::empty(),
            state: StateMap::new(),
            deciding: None,
            policy: policy::Policy::default(),
            batch: Write::default(),
            recent_sends: RecentSends::default(),
            waiting: Waiting::default(),
            merge_above: extremities::EXTREMITIES_MAX,
            relayed: BTreeSet::new(),
            shown: summary::Shown::default(),
            recent_events: RecentEvents::default(),
            last_resolution: None,
            recent_annotations: relate::RecentAnnotations::default(),
            replaced: None,
        }
    }

    async fn read_deciding(&self) -> Result<Option<auth::Head>> {
        let Some(create) = self.state_event("m.room.create", "").await? else {
            return Ok(None);
        };
        let levels = self.state_event("m.room.power_levels", "").await?;
        let rules = self.state_event("m.room.join_rules", "").await?;
        let event =
            |known: &'_ Option<Arc<KnownEvent>>| known.as_ref().map(|known| known.event.clone());
        let (levels, rules) = (event(&levels), event(&rules));
        let version = self.meta.version;
        Ok(Some(auth::Head::new(
            version,
            &create.event,
            levels.as_deref(),
            rules.as_deref(),
        )))
    }

    /// The power levels in force.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: this server knows no state of the room, but an invite or a knock of somebody.
    pub(crate) fn power_levels(&self) -> Result<&PowerLevels> {
        let head = self.deciding.as_ref().map(auth::Head::power_levels);
        head.ok_or_else(|| Error::Forbidden("This server is not in the room".to_owned()))
    }

    /// Whether a write has failed on which the head builds.
    pub(crate) fn is_stale(&self) -> bool {
        self.chain.is_broken()
    }

    /// Ends the room as it is known here: whatever is asked of it from now on reads it again.
    pub(crate) fn end(&mut self) {
        self.batch = Write::default();
        self.chain.break_off();
    }

    /// The events upon which the next one builds.
    pub(crate) fn extremity_rows(&self) -> BTreeSet<EventRow> {
        self.extremities
            .iter()
            .map(|extremity| extremity.row)
            .collect()
    }

    /// Forgets events that are about to be deleted.
    pub(crate) fn forget_events(&mut self, rows: &[EventRow]) {
        self.recent_events.forget(rows);
        self.recent_annotations.forget(rows);
    }

    /// Called after each job. A job that failed half-way has moved the head to events that will never be written.
    pub(crate) fn settle(&mut self, failed: bool) {
        if failed && !(self.batch.logged.is_empty() && self.batch.plain.is_empty()) {
            self.batch = Write::default();
            self.chain.break_off();
        }
    }

    /// The current state event of this type and key.
    pub(crate) async fn state_event(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<KnownEvent>>> {
        let keys = self
            .context
            .store
            .state_keys()
            .find(&[(event_type, state_key)])
            .await?;
        let Some(row) = keys[0].and_then(|key| self.state.get(&key)) else {
            return Ok(None);
        };
        Ok(Some(
            self.context.events.get(&self.context.metas, *row).await?,
        ))
    }

    /// The membership of `user` now: `join`, `invite`, ...; `None` if they never had one.
    pub(crate) async fn membership(&self, user: &UserId) -> Result<Option<String>> {
        let member = self.state_event("m.room.member", user.as_str()).await?;
        let text = |known: Arc<KnownEvent>| {
            known
                .event
                .content()
                .get("membership")
                .and_then(|value| value.as_str().map(str::to_owned))
        };
        Ok(member.and_then(text))
    }

    /// Builds an event upon the head: chooses its parents and auth events, seals it, and checks it against the current
    /// state. The head moves to it; it is written with the next [`Room::commit`]. Where a policy server must sign it first,
    /// this is for [`Room::send`] to do.
    ///
    /// # Errors
    /// [`Error::Denied`]: the rules refuse it. [`Error::TooLarge`]: it is over the limits. The head has not moved then.
    pub(crate) async fn append(
        &mut self,
        draft: Draft,
        txn: Option<Txn>,
    ) -> Result<Arc<KnownEvent>> {
        let state_key = draft.state_key.as_deref();
        if self
            .policy_for(&draft.event_type, state_key)
            .await?
            .is_some()
        {
            return Err(Error::Internal(
                "an event would go out without its policy server".to_owned(),
            ));
        }
        if self.extremities.len() > extremities::PARENTS_MAX {
            return self.append_upon_some(draft, txn).await;
        }
        let now = self.context.clock.now_ms();
        self.append_at(draft, now, txn).await
    }

    /// The same with a time of one's own, in ms.
    async fn append_at(
        &mut self,
        draft: Draft,
        origin_server_ts: i64,
        txn: Option<Txn>,
    ) -> Result<Arc<KnownEvent>> {
        let (deciding, auth_parents) = self.auth_for(&draft).await?;
        let parents = self.parents();
        let seed = self.context.chance.secret();
        let event = draft
            .seal(
                self.meta.version,
                &parents,
                &auth_parents,
                origin_server_ts,
                &seed,
                &self.context.key,
            )
            .map_err(refusal)?;
        self.authorise(&event, &deciding)?;
        self.advance(event, txn).await
    }

    /// Moves the head to an event that was accepted.
    async fn advance(&mut self, event: Event, txn: Option<Txn>) -> Result<Arc<KnownEvent>> {
        let row = self.context.store.ids().next_event();
        let before = self.lineage.row();
        let mut replaces = None;
        let mut key = None;
        if let Some(state_key) = event.state_key() {
            let resolved = self
                .context
                .store
                .state_keys()
                .resolve(&[(event.event_type(), state_key)])
                .await?;
            let state_key_row = resolved.rows[0];
            self.batch.plain.extend(resolved.inserts);
            key = Some(state_key_row);
            replaces = self.state.insert(state_key_row, row);
            let snapshot = self.context.store.ids().next_snapshot();
            let written =
                self.lineage
                    .push(self.meta.row, snapshot, &[(state_key_row, Some(row))])?;
            self.batch.plain.push(Plain::Snapshot(written));
            self.context.states.put(snapshot, self.state.clone());
            self.follow_policy(&event);
            match &mut self.deciding {
                Some(head) => head.apply(self.meta.version, &event),
                None => {
                    self.deciding = Some(auth::Head::new(self.meta.version, &event, None, None))
                }
            }
        }
        if let Some(txn) = &txn {
            self.recent_sends
                .remember(event.sender().as_str(), txn, event.id().to_owned());
        }
        let event = Arc::new(event);
        let known = Arc::new(KnownEvent {
            row,
            outcome: Outcome::Accepted,
            snapshot: before,
            replaces,
            redacted_by: None,
            txn: txn.clone(),
            json_bytes: event.to_json().len(),
            event: event.clone(),
            unwritten: self.batch.under_way.watch(),
        });
        self.context.events.put(known.clone());
        self.recent_events.remember(event.id().to_owned(), row);
        self.recent_annotations.remember(&event, row);
        self.extremities = vec![Extremity {
            row,
            parent: Parent::of(self.meta.version, &event),
        }];
        self.batch.logged.push(Logged::Event(NewEvent {
            row,
            room: self.meta.row,
            membership: new_membership(&event),
            gap: false,
            resettled: None,
            event,
            outcome: Outcome::Accepted,
            state_key: key,
            snapshot: before,
            current: self.lineage.row(),
            replaces,
            place: Place::New,
            txn,
            promoted: false,
            outgoing: true,
        }));
        Ok(known)
    }

    /// The row of an event, if it is among the last that the room has built or taken in.
    pub(crate) fn recent(&self, id: &EventId) -> Option<EventRow> {
        self.recent_events.find(id)
    }

    /// Adds a row without a position to what the next [`Room::commit`] writes.
    pub(crate) fn also(&mut self, plain: Plain) {
        self.batch.plain.push(plain);
    }

    /// Hands what was built to the writer, as one atomic write.
    pub(crate) async fn commit(&mut self) -> Pending {
        match self.finish().await {
            Ok(write) => self.pending(write),
            Err(error) => {
                self.settle(true);
                Pending(Box::pin(future::ready(Err(error))))
            }
        }
    }

    /// What was built, complete, as one write.
    async fn finish(&mut self) -> Result<Write> {
        self.complete().await?;
        self.context.store.ready().await;
        let mut write = std::mem::take(&mut self.batch);
        write.plain.push(Plain::RoomHead(RoomHead {
            room: self.meta.row,
            extremities: self
                .extremities
                .iter()
                .map(|extremity| extremity.row)
                .collect(),
            snapshot: self.lineage.row(),
        }));
        Ok(write)
    }

    /// Adds to the batch what follows from it.
    async fn complete(&mut self) -> Result<()> {
        // In other rooms events are made by this server alone.
        if !self.policy.is_named() {
            self.merge_extremities().await?;
        }
        self.settle_redactions().await?;
        self.summarise().await
    }

    fn pending(&self, write: Write) -> Pending {
        let written = self.context.store.enqueue(write.chained(&self.chain));
        Pending(Box::pin(async move { Ok(written.await?) }))
    }

    /// A future that resolves when all that was handed to the writer before is on disk.
    pub(crate) async fn flushed(&self) -> Pending {
        self.context.store.ready().await;
        self.pending(Write::default())
    }
}

/// What a member event makes of its user; `None` for other events.
pub(crate) fn new_membership(event: &Event) -> Option<NewMembership> {
    let user = event
        .state_key()
        .filter(|_| event.event_type() == "m.room.member")?;
    let text = |key: &str| {
        event
            .content()
            .get(key)
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    Some(NewMembership {
        user_id: UserId::parse(user).ok()?,
        membership: Membership::parse(&text("membership")?)?,
        sender: event.sender().to_owned(),
        // PostgreSQL cannot keep a NUL as text; nobody misses it.
        displayname: text("displayname").map(|name| name.replace('\0', "")),
        avatar_url: text("avatar_url").map(|url| url.replace('\0', "")),
    })
}

/// The few state events that decide about one event, besides those that the head keeps parsed.
#[derive(Default)]
struct Deciding(Vec<Arc<Event>>);

impl Deciding {
    fn add(&mut self, event: Arc<Event>) {
        self.0.push(event);
    }
}

impl auth::State for Deciding {
    fn get(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        let mut found = self
            .0
            .iter()
            .filter(|event| event.is(event_type, state_key));
        found.next().map(AsRef::as_ref)
    }
}

impl auth::Members for Deciding {
    fn membership(&self, user: &str) -> auth::Membership {
        auth::Membership::of(auth::State::get(self, "m.room.member", user))
    }

    fn third_party_invite(&self, token: &str) -> Option<&Event> {
        auth::State::get(self, "m.room.third_party_invite", token)
    }
}

/// Why a draft could not become an event, for the client that wrote it.
fn refusal(error: SealError) -> Error {
    match error {
        SealError::TooLarge(error) => Error::TooLarge(format!("The event is too large: {error}")),
        error => Error::BadJson(format!("The content cannot be part of an event: {error}")),
    }
}

/// The events of `new` that hold a place in it which they do not hold in `old`.
pub(crate) fn changed_entries(old: &StateMap, new: &StateMap) -> Vec<EventRow> {
    old.diff(new)
        .filter_map(|item| match item {
            DiffItem::Add(_, row) | DiffItem::Update { new: (_, row), .. } => Some(*row),
            DiffItem::Remove(..) => None,
        })
        .collect()
}
