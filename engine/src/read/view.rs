//! One reader's view of a room's events: which they may see, and what the server adds for them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ruma::serde::Raw;
use spec::{
    auth::Membership,
    json::Object,
    self_destruct,
    visibility::{self, HistoryVisibility, Moment},
};
use storage::{EventRow, SnapshotRow, StateKeyRow, redactions, timeline::Spot};

use super::{access::Access, replaced::Later};
use crate::{
    Requester, Result,
    events::{KnownEvent, Placed},
    ignores::Ignored,
    relations::bundle::{Bundle, Bundles},
    render::{self, Shape, Unsigned},
    room::extremities,
    rooms::RoomHandle,
};

/// A reader of a room. It remembers what it has learned of the states that it met, most events share one.
pub(crate) struct View<'a> {
    pub(crate) room: &'a RoomHandle,
    pub(crate) reader: &'a Requester,
    pub(crate) access: Access,
    pub(crate) ignored: Arc<Ignored>,
    /// Messages from before this time have had theirs, in ms.
    shown_from_ts: Option<i64>,
    visibility_key: Option<StateKeyRow>,
    member_key: Option<StateKeyRow>,
    met: HashMap<SnapshotRow, Met>,
}

/// What a reader has learned of a state.
#[derive(Clone, Copy)]
struct Met {
    moment: Moment,
    /// Whether nobody who joined later was ever to be kept from what came before.
    always_open: bool,
}

/// An event that the reader may see.
pub(crate) struct Seen {
    pub(crate) placed: Placed,
    /// The reader's membership at the event, its own effect included.
    pub(crate) membership: Membership,
    /// The state whose place it took, as far as the reader may see that one.
    pub(crate) replaced: Option<Arc<KnownEvent>>,
}

impl<'a> View<'a> {
    pub(crate) async fn new(
        room: &'a RoomHandle,
        reader: &'a Requester,
        access: Access,
    ) -> Result<Self> {
        let pairs = [
            ("m.room.history_visibility", ""),
            ("m.room.member", reader.user_id.as_str()),
        ];
        let keys = room.context.store.state_keys().find(&pairs).await?;
        let met = HashMap::new();
        Ok(Self {
            shown_from_ts: room.shown_from_ts().await?,
            ignored: room.context.ignores.of(&reader.user_id).await?,
            room,
            reader,
            access,
            visibility_key: keys[0],
            member_key: keys[1],
            met,
        })
    }

    /// Those of `events` that the reader may and wants to see, in the same order: nothing but state of those whom they
    /// ignore. Two queries at most, however many states they have, and two more for what state events took the place of.
    pub(crate) async fn filter(&mut self, mut events: Vec<Placed>) -> Result<Vec<Seen>> {
        events.retain(|placed| {
            placed.event.is_state() || !self.ignored.contains(placed.event.sender())
        });
        self.visible(events).await
    }

    /// The same with what ignored users have sent.
    pub(crate) async fn visible(&mut self, events: Vec<Placed>) -> Result<Vec<Seen>> {
        self.meet(events.iter().filter_map(|placed| placed.snapshot))
            .await?;
        let hidden = self.hidden(&events).await?;
        let erased = self.room.context.erased.users().await?;
        let mut seen = Vec::with_capacity(events.len());
        for placed in events {
            if hidden.contains(&placed.row)
                || placed.event.event_type() == extremities::DUMMY
                || self.has_had_its_time(&placed)
            {
                continue;
            }
            if let Some(membership) = self.sees(&placed) {
                let was_there = membership == Membership::Join;
                let placed = if !was_there && erased.contains(placed.event.sender()) {
                    let known = self.emptied(&placed.known);
                    Placed { known, ..placed }
                } else {
                    placed
                };
                seen.push(Seen {
                    placed,
                    membership,
                    replaced: None,
                });
            }
        }
        let later = seen.iter().map(|seen| self.later(&seen.placed)).collect();
        let replaced = self.replaced(later).await?;
        for one in &mut seen {
            let row = one.placed.replaces;
            one.replaced = row.and_then(|row| replaced.get(&row).cloned());
        }
        Ok(seen)
    }

    /// An event that the reader sees, as one that may have taken the place of another.
    fn later(&self, placed: &Placed) -> Later {
        let met = placed.snapshot.and_then(|row| self.met.get(&row));
        Later {
            known: Arc::clone(&placed.known),
            joined_later: self.joined_later(placed),
            always_open: met.is_some_and(|met| met.always_open),
        }
    }

    /// MSC1763 and MSC2228: state stays.
    fn has_had_its_time(&self, placed: &Placed) -> bool {
        let context = &self.room.context;
        if placed.event.is_state() || !context.retention.messages {
            return false;
        }
        let is_old = |ts| placed.event.origin_server_ts() < ts;
        let is_due = |due| due <= context.clock.now_ms();
        self.shown_from_ts.is_some_and(is_old)
            || self_destruct::due_ts(&placed.event).is_some_and(is_due)
    }

    /// An event without what its sender had erased.
    pub(super) fn emptied(&self, known: &KnownEvent) -> Arc<KnownEvent> {
        let event = known.event.redacted(self.room.meta.version);
        Arc::new(KnownEvent {
            event: Arc::new(event),
            ..known.clone()
        })
    }

    /// Those of `events` that no client sees: redactions without effect (room versions, "Handling redactions"). No query
    /// where there is no redaction.
    async fn hidden(&self, events: &[Placed]) -> Result<BTreeSet<EventRow>> {
        let redactions: Vec<EventRow> = events
            .iter()
            .filter(|placed| placed.event.event_type() == "m.room.redaction")
            .map(|placed| placed.row)
            .collect();
        if redactions.is_empty() {
            return Ok(BTreeSet::new());
        }
        let db = self.room.context.store.reader();
        Ok(redactions::pending_among(db, &redactions).await?)
    }

    /// Learns visibility and membership in these states.
    pub(crate) async fn meet(
        &mut self,
        snapshots: impl IntoIterator<Item = SnapshotRow>,
    ) -> Result<()> {
        let context = &self.room.context;
        let new: BTreeSet<SnapshotRow> = snapshots
            .into_iter()
            .filter(|snapshot| !self.met.contains_key(snapshot))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let keys: Vec<StateKeyRow> = [self.visibility_key, self.member_key]
            .into_iter()
            .flatten()
            .collect();
        let found = context.states.lookup(new, &keys).await?;
        let rows: BTreeSet<EventRow> = found.values().flatten().flatten().copied().collect();
        let rows: Vec<EventRow> = rows.into_iter().collect();
        let known = context.events.get_many(&context.metas, &rows).await?;
        let known: HashMap<EventRow, &Arc<KnownEvent>> =
            known.iter().map(|known| (known.row, known)).collect();
        for (snapshot, rows) in found {
            let of = |wanted: Option<StateKeyRow>| {
                let index = keys.iter().position(|key| Some(*key) == wanted)?;
                let known = known.get(&rows.get(index).copied().flatten()?)?;
                Some(known.as_ref())
            };
            let visibility = of(self.visibility_key);
            let member = of(self.member_key).map(|known| known.event.as_ref());
            let met = Met {
                moment: Moment {
                    visibility: HistoryVisibility::of(visibility.map(|known| &*known.event)),
                    membership: Membership::of(member),
                    joined_later: false,
                },
                always_open: is_always_open(visibility),
            };
            self.met.insert(snapshot, met);
        }
        Ok(())
    }

    /// The reader's membership at an event that they may see; `None` when they may not.
    fn sees(&self, placed: &Placed) -> Option<Membership> {
        let moment = Moment {
            joined_later: self.joined_later(placed),
            ..self.before(placed.snapshot)
        };
        let user = self.reader.user_id.as_str();
        let own = placed.event.is("m.room.member", user);
        let after = if own {
            Membership::of(Some(&placed.event))
        } else {
            moment.membership
        };
        (own || visibility::may_see(&placed.event, user, moment)).then_some(after)
    }

    /// Whether the reader joined at any time after an event.
    fn joined_later(&self, placed: &Placed) -> bool {
        match self.access {
            Access::Joined => true,
            // What stands at the departure is the departure, or that by which it came to be known.
            Access::Departed { position, .. } => placed.spot < Spot::news(position),
            Access::Peeking => false,
        }
    }

    /// Whether the reader may see ordinary events with this state before them, of those that lie within what they may see
    /// at all. The state was met.
    pub(crate) fn sees_in(&self, snapshot: Option<SnapshotRow>) -> bool {
        visibility::may_see_at(Moment {
            joined_later: self.access != Access::Peeking,
            ..self.before(snapshot)
        })
    }

    /// What was met in a state.
    pub(super) fn before(&self, snapshot: Option<SnapshotRow>) -> Moment {
        let met = snapshot.and_then(|snapshot| self.met.get(&snapshot));
        met.map(|met| met.moment).unwrap_or(Moment {
            visibility: HistoryVisibility::of(None),
            membership: Membership::of(None),
            joined_later: false,
        })
    }

    /// The event in the form for this reader, with what is aggregated of its children.
    pub(crate) async fn render<T>(&mut self, seen: &Seen, shape: Shape) -> Result<Raw<T>> {
        let bundles = self.bundles([seen], shape).await?;
        self.render_with(seen, &bundles, shape).await
    }

    /// The events in the form for this reader, in the same order. What is aggregated of their children costs ten queries
    /// at most for 256 events.
    pub(crate) async fn render_all<T>(
        &mut self,
        seen: &[Seen],
        shape: Shape,
    ) -> Result<Vec<Raw<T>>> {
        let bundles = self.bundles(seen, shape).await?;
        self.render_all_with(seen, &bundles, shape).await
    }

    /// The same with what was aggregated before.
    pub(crate) async fn render_all_with<T>(
        &self,
        seen: &[Seen],
        bundles: &Bundles,
        shape: Shape,
    ) -> Result<Vec<Raw<T>>> {
        let (context, known) = (&self.room.context, seen.iter());
        let known = known.map(|seen| seen.placed.known.as_ref());
        context.events.warm(&context.metas, known).await?;
        let mut rendered = Vec::with_capacity(seen.len());
        for event in seen {
            rendered.push(self.render_with(event, bundles, shape).await?);
        }
        Ok(rendered)
    }

    /// One event, with what was aggregated before.
    pub(crate) async fn render_with<T>(
        &self,
        seen: &Seen,
        bundles: &Bundles,
        shape: Shape,
    ) -> Result<Raw<T>> {
        let bundle = bundles.get(&seen.placed.row);
        self.render_bundled(seen, bundle, shape).await
    }

    /// One event with its bundle.
    pub(crate) async fn render_bundled<T>(
        &self,
        seen: &Seen,
        bundle: Option<&Bundle>,
        shape: Shape,
    ) -> Result<Raw<T>> {
        let shown = Shown {
            known: &seen.placed.known,
            replaced: seen.replaced.as_deref(),
            membership: Some(seen.membership),
            bundle,
        };
        render_for(self.room, self.reader, shown, shape).await
    }
}

/// Whether a room with this history visibility never had a narrower one that this one took the place of.
pub(super) fn is_always_open(visibility: Option<&KnownEvent>) -> bool {
    let is_open = |known: &KnownEvent| {
        let visibility = HistoryVisibility::of(Some(&known.event));
        matches!(
            visibility,
            HistoryVisibility::Shared | HistoryVisibility::WorldReadable
        ) && known.replaces.is_none()
    };
    visibility.is_none_or(is_open)
}

/// An event that the reader may see, with what is shown beside it.
pub(super) struct Shown<'a> {
    pub(super) known: &'a KnownEvent,
    /// The state whose place it took, if the reader may see that.
    pub(super) replaced: Option<&'a KnownEvent>,
    /// The reader's membership at the event, for events of the timeline.
    pub(super) membership: Option<Membership>,
    /// What is aggregated of its children.
    pub(super) bundle: Option<&'a Bundle>,
}

/// An event for a reader who is known to be allowed to see it.
pub(super) async fn render_for<T>(
    room: &RoomHandle,
    reader: &Requester,
    shown: Shown<'_>,
    shape: Shape,
) -> Result<Raw<T>> {
    let known = shown.known;
    let context = &room.context;
    let mut unsigned = Unsigned {
        age: context
            .clock
            .now_ms()
            .saturating_sub(known.event.origin_server_ts())
            .max(0),
        membership: shown.membership.map(Membership::as_str),
        relations: shown.bundle,
        ..Unsigned::default()
    };
    if let Some(replaced) = shown.replaced {
        unsigned.prev_content = Some(replaced.event.content());
        unsigned.prev_sender = Some(replaced.event.sender());
        unsigned.replaces_state = Some(replaced.event.id());
    }
    if let Some(row) = known.redacted_by {
        // One with a time long past may be gone before its event.
        let found = context.events.find_many(&context.metas, &[row]).await?;
        unsigned.redacted_because = found.first().map(|redaction| {
            let raw: Raw<Object> =
                render::client_event(&redaction.event, shape, &Unsigned::default());
            raw.into_json()
        });
    }
    if let Some(txn) = &known.txn
        && known.event.sender() == reader.user_id
        && reader
            .device_id
            .as_ref()
            .is_some_and(|device| device.as_str() == txn.device)
    {
        unsigned.transaction_id = Some(&txn.id);
    }
    let own = known.event.state_key() == Some(reader.user_id.as_str());
    if let Some(received) = known.event.unsigned().filter(|_| own) {
        unsigned.invite_room_state = received.get("invite_room_state");
        unsigned.knock_room_state = received.get("knock_room_state");
    }
    Ok(render::client_event(&known.event, shape, &unsigned))
}
