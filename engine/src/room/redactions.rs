//! Which redactions take effect: room versions, "Handling redactions".
//!
//! Settled whenever a batch is handed to the writer, whoever built it: a redaction and its event come in either order, in
//! one batch or in two, as news, as history, or (the event) without a place in the room. A redaction that has no effect
//! is noted as pending, and clients do not see it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, OwnedUserId, UserId};
use spec::{auth::PowerLevels, event::Event, policy::POLICY, redact};
use storage::{
    EventRow, Limit, Logged, Plain, SnapshotRow, events,
    redactions::{self, PendingRedaction},
    write::{NewEvent, Outcome},
};

use super::Room;
use crate::{Result, events::KnownEvent};

/// How many redactions a room remembers that wait for their events; some 150 bytes each. With more than that the store
/// is asked for each event that comes in.
const WAITING_MAX: usize = 1_000;

/// The state, with empty keys, that a worker keeps parsed.
const DECIDING: [&str; 4] = [
    "m.room.create",
    "m.room.power_levels",
    "m.room.join_rules",
    POLICY,
];

/// The redactions of a room that wait for their events.
#[derive(Default)]
pub(super) struct Waiting {
    by_target: HashMap<OwnedEventId, Vec<EventRow>>,
    count: usize,
    /// Whether the store has more of them.
    overflows: bool,
}

impl Waiting {
    fn add(&mut self, target: OwnedEventId, redaction: EventRow) {
        if self.count >= WAITING_MAX {
            self.overflows = true;
            return;
        }
        self.count += 1;
        self.by_target.entry(target).or_default().push(redaction);
    }

    fn take(&mut self, target: &EventId) -> Vec<EventRow> {
        let rows = self.by_target.remove(target).unwrap_or_default();
        self.count = self.count.saturating_sub(rows.len());
        rows
    }
}

/// A redaction, with the state before it.
struct Redaction {
    row: EventRow,
    event: Arc<Event>,
    snapshot: Option<SnapshotRow>,
    /// Whether it is stored as one that waits.
    waits: bool,
}

impl Room {
    /// Reads which redactions wait for their events.
    pub(super) async fn read_waiting(&self) -> Result<Waiting> {
        let db = self.context.store.reader();
        let limit = Limit::from(WAITING_MAX + 1);
        let mut waiting = Waiting::default();
        for pending in redactions::waiting_in(db, self.meta.row, limit).await? {
            if let Some(target) = pending.target.and_then(|id| EventId::parse(id).ok()) {
                waiting.add(target, pending.redaction);
            }
        }
        Ok(waiting)
    }

    /// Applies the redactions that this batch makes possible. No query for a batch without redactions, as long as none
    /// wait in the room.
    pub(super) async fn settle_redactions(&mut self) -> Result<()> {
        self.settle_all().await?;
        self.read_emptied().await
    }

    async fn settle_all(&mut self) -> Result<()> {
        self.keep_redacted().await?;
        self.settle_waiting().await?;
        let staged: Vec<Redaction> = self
            .staged()
            .filter(|(_, new)| {
                new.outcome == Outcome::Accepted && new.event.event_type() == "m.room.redaction"
            })
            .map(|(_, new)| Redaction {
                row: new.row,
                event: Arc::clone(&new.event),
                snapshot: new.snapshot,
                waits: false,
            })
            .collect();
        if staged.is_empty() {
            return Ok(());
        }
        let index = self
            .staged()
            .map(|(at, new)| (new.event.id().to_owned(), at));
        let index: BTreeMap<OwnedEventId, usize> = index.collect();
        for redaction in staged {
            let Some(target) = redaction.event.redacts().map(ToOwned::to_owned) else {
                // Nobody can say what it meant: its content was not what its server signed.
                self.set_aside(&redaction, None);
                continue;
            };
            if let Some(at) = index.get(&target) {
                self.redact_staged(*at, &redaction).await?;
            } else if let Some(known) = self.target(&target).await? {
                self.redact_known(&known, &redaction).await?;
            } else {
                self.set_aside(&redaction, Some(target));
            }
        }
        Ok(())
    }

    /// The events of the batch, by their place in it.
    fn staged(&self) -> impl Iterator<Item = (usize, &NewEvent)> {
        let logged = self.batch.logged.iter().enumerate();
        logged.filter_map(|(at, logged)| match logged {
            Logged::Event(new) => Some((at, new)),
            _ => None,
        })
    }

    fn staged_at(&mut self, at: usize) -> Option<&mut NewEvent> {
        match self.batch.logged.get_mut(at) {
            Some(Logged::Event(new)) => Some(new),
            _ => None,
        }
    }

    /// Events that were redacted before they had a place in the room stay so when they get it.
    async fn keep_redacted(&mut self) -> Result<()> {
        let promoted: Vec<(usize, EventRow)> = self
            .staged()
            .filter(|(_, new)| new.promoted)
            .map(|(at, new)| (at, new.row))
            .collect();
        if promoted.is_empty() {
            return Ok(());
        }
        let rows: Vec<EventRow> = promoted.iter().map(|(_, row)| *row).collect();
        let stored = events::by_rows(self.context.store.reader(), &rows).await?;
        let redacted_by: HashMap<EventRow, EventRow> = stored
            .into_iter()
            .filter_map(|stored| Some((stored.id, stored.redacted_by?)))
            .collect();
        for (at, row) in promoted {
            if let Some(by) = redacted_by.get(&row) {
                self.empty_staged(at, *by);
            }
        }
        Ok(())
    }

    /// Applies redactions that were here before their events.
    async fn settle_waiting(&mut self) -> Result<()> {
        if self.waiting.count == 0 && !self.waiting.overflows {
            return Ok(());
        }
        let ids = self
            .staged()
            .map(|(at, new)| (at, new.event.id().to_owned()));
        let ids: Vec<(usize, OwnedEventId)> = ids.collect();
        let mut of_store: HashMap<String, Vec<EventRow>> = HashMap::new();
        if self.waiting.overflows {
            self.flushed().await.wait().await?;
            let targets: Vec<&EventId> = ids.iter().map(|(_, id)| id.as_ref()).collect();
            let db = self.context.store.reader();
            for pending in redactions::waiting_for(db, self.meta.row, &targets).await? {
                let target = pending.target.unwrap_or_default();
                of_store.entry(target).or_default().push(pending.redaction);
            }
        }
        for (at, id) in ids {
            let mut rows = self.waiting.take(&id);
            rows.extend(of_store.remove(id.as_str()).unwrap_or_default());
            rows.sort_unstable();
            rows.dedup();
            let context = &self.context;
            for known in context.events.get_many(&context.metas, &rows).await? {
                let redaction = Redaction {
                    row: known.row,
                    event: Arc::clone(&known.event),
                    snapshot: known.snapshot,
                    waits: true,
                };
                self.redact_staged(at, &redaction).await?;
            }
        }
        Ok(())
    }

    /// The stored event of this room, whatever became of it.
    pub(super) async fn target(&self, event_id: &EventId) -> Result<Option<Arc<KnownEvent>>> {
        let find = async || events::by_id(self.context.store.reader(), event_id).await;
        let stored = match find().await? {
            Some(stored) => Some(stored),
            None => {
                // It may have been built a moment ago.
                self.flushed().await.wait().await?;
                find().await?
            }
        };
        let Some(stored) = stored.filter(|stored| stored.room == self.meta.row) else {
            return Ok(None);
        };
        let context = &self.context;
        Ok(Some(context.events.get(&context.metas, stored.id).await?))
    }

    async fn redact_staged(&mut self, at: usize, redaction: &Redaction) -> Result<()> {
        let Some(new) = self.staged_at(at) else {
            return Ok(());
        };
        let (row, target) = (new.row, Arc::clone(&new.event));
        if !self.may_apply(redaction, &target).await? {
            self.set_aside(redaction, None);
            return Ok(());
        }
        if !self.is_emptied(row) {
            self.empty_staged(at, redaction.row);
        }
        self.note_applied(redaction);
        Ok(())
    }

    async fn redact_known(&mut self, known: &KnownEvent, redaction: &Redaction) -> Result<()> {
        if !self.may_apply(redaction, &known.event).await? {
            self.set_aside(redaction, None);
            return Ok(());
        }
        if known.redacted_by.is_none() && !self.is_emptied(known.row) {
            let event = Arc::new(known.event.redacted(self.meta.version));
            self.empty_event(known, event, redaction.row);
        }
        self.note_applied(redaction);
        Ok(())
    }

    /// Whether something in this batch empties an event already.
    fn is_emptied(&self, row: EventRow) -> bool {
        let mut plain = self.batch.plain.iter();
        plain.any(|plain| matches!(plain, Plain::Redacted { event, .. } if *event == row))
    }

    fn empty_staged(&mut self, at: usize, by: EventRow) {
        let version = self.meta.version;
        let Some(new) = self.staged_at(at) else {
            return;
        };
        let (row, event) = (new.row, Arc::new(new.event.redacted(version)));
        new.event = Arc::clone(&event);
        if let Some(member) = &mut new.membership {
            member.displayname = None;
            member.avatar_url = None;
        }
        let known = self.context.events.cached(row);
        match known {
            Some(known) => self.empty_event(&known, event, by),
            // An event that was never in memory cannot be there in its old form.
            None => self.note_emptied(row, &event, by),
        }
    }

    /// Empties an event, in the store with the next commit and in memory at once. `event` is what is left of it.
    fn empty_event(&mut self, known: &KnownEvent, event: Arc<Event>, by: EventRow) {
        self.note_emptied(known.row, &event, by);
        // In memory until it is written, so that nobody reads the old form into it meanwhile.
        self.context.events.put(Arc::new(KnownEvent {
            redacted_by: Some(by),
            json_bytes: event.to_json().len(),
            event,
            unwritten: self.batch.under_way.watch(),
            ..known.clone()
        }));
    }

    fn note_emptied(&mut self, row: EventRow, event: &Event, by: EventRow) {
        let json = event.to_json();
        if let Some(user_id) = member_of(event) {
            self.also(Plain::MemberBlanked {
                room: self.meta.row,
                user_id,
                event: row,
            });
        }
        self.also(Plain::Redacted {
            event: row,
            by,
            json,
        });
    }

    /// Reads what decides in the room anew, where this batch empties some of it.
    async fn read_emptied(&mut self) -> Result<()> {
        let emptied: BTreeSet<EventRow> = self
            .batch
            .plain
            .iter()
            .filter_map(|plain| match plain {
                Plain::Redacted { event, .. } => Some(*event),
                _ => None,
            })
            .collect();
        if emptied.is_empty() {
            return Ok(());
        }
        let pairs = DECIDING.map(|event_type| (event_type, ""));
        let keys = self.context.store.state_keys().find(&pairs).await?;
        let mut rows = keys.into_iter().flatten();
        if rows.any(|key| {
            self.state
                .get(&key)
                .is_some_and(|row| emptied.contains(row))
        }) {
            self.deciding = self.read_deciding().await?;
            self.read_policy().await?;
        }
        Ok(())
    }

    fn note_applied(&mut self, redaction: &Redaction) {
        if redaction.waits {
            let redaction = redaction.row;
            self.also(Plain::RedactionApplied { redaction });
        }
    }

    /// Notes that a redaction has no effect: until `target` arrives, or ever.
    fn set_aside(&mut self, redaction: &Redaction, target: Option<OwnedEventId>) {
        self.also(Plain::PendingRedaction(PendingRedaction {
            redaction: redaction.row,
            room: self.meta.row,
            target: target.as_ref().map(ToString::to_string),
        }));
        if let Some(target) = target {
            self.waiting.add(target, redaction.row);
        }
    }

    /// Whether a redaction of `target` takes effect, by the state before it.
    async fn may_apply(&self, redaction: &Redaction, target: &Event) -> Result<bool> {
        let version = self.meta.version;
        let levels = self.levels_at(redaction.snapshot).await?;
        Ok(redact::may_apply(
            version,
            levels.as_ref(),
            &redaction.event,
            target,
        ))
    }

    /// The power levels in a state; `None` in one without a create event.
    async fn levels_at(&self, snapshot: Option<SnapshotRow>) -> Result<Option<PowerLevels>> {
        let context = &self.context;
        let state = context.states.get(snapshot).await?;
        let pairs = [("m.room.create", ""), ("m.room.power_levels", "")];
        let keys = context.store.state_keys().find(&pairs).await?;
        let mut found = Vec::with_capacity(pairs.len());
        for key in keys {
            let row = key.and_then(|key| state.get(&key).copied());
            found.push(match row {
                Some(row) => Some(context.events.get(&context.metas, row).await?),
                None => None,
            });
        }
        let levels = found.pop().flatten();
        let create = found.pop().flatten();
        Ok(create.map(|create| {
            let levels = levels.as_ref().map(|known| known.event.as_ref());
            PowerLevels::parse(self.meta.version, &create.event, levels)
        }))
    }
}

/// Whom a member event is about.
fn member_of(event: &Event) -> Option<OwnedUserId> {
    let user = event
        .state_key()
        .filter(|_| event.event_type() == "m.room.member");
    UserId::parse(user?).ok()
}
