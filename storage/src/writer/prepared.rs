//! A write as rows: the work that needs no turn, done by whoever asks for the write.

use std::sync::Arc;

use crate::{
    entity::{
        account_data, event, membership, receipt, relation, room, searchable, self_destruct,
        snapshot, state_key, thread_subscription,
    },
    id::{EventRow, Position, RoomRow},
    packed::pack_events,
    write::{
        At, Chain, Logged, NewAccountData, NewEvent, NewMembership, NewReceipt, NewRoom,
        NewSnapshot, NewStateKey, NewSummary, NewThreadSubscription, Place, Plain, RoomHead, Write,
    },
};

/// A write, sorted by what happens when.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) chain: Option<Arc<Chain>>,
    /// What happens one by one, in order.
    pub(super) ordered: Vec<Plain>,
    pub(super) state_keys: Vec<state_key::Model>,
    pub(super) rooms: Vec<room::Model>,
    /// Of new rooms, and whether they are listed.
    pub(super) listed: Vec<(RoomRow, bool)>,
    pub(super) summaries: Vec<NewSummary>,
    pub(super) snapshots: Vec<snapshot::Model>,
    pub(super) heads: Vec<RoomHead>,
    pub(super) logged: Vec<Entry>,
    pub(super) memberships: Vec<(At, membership::Model)>,
    /// What changes rows that this write or one before it in the batch may have made.
    pub(super) afterwards: Vec<Plain>,
}

/// Something with a position; the row's own is not yet set.
pub(super) struct Entry {
    pub(super) row: Row,
    /// Of an event that relates to another one.
    pub(super) relation: Option<relation::Model>,
    /// Of an event in which there is something to search.
    pub(super) searchable: Option<searchable::Model>,
    /// Of an event that says itself when it is to go.
    pub(super) self_destruct: Option<self_destruct::Model>,
    pub(super) place: Place,
    pub(super) announcement: Arc<Logged>,
}

impl Entry {
    /// Whether the event's row is there already.
    pub(super) fn is_promoted(&self) -> bool {
        matches!(&*self.announcement, Logged::Event(new) if new.promoted)
    }

    /// Whether this server brings it to others.
    pub(super) fn is_outgoing(&self) -> bool {
        matches!(&*self.announcement, Logged::Event(new) if new.outgoing)
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all rows are events, so that a box would save nothing"
)]
pub(super) enum Row {
    Event(event::Model),
    Receipt(receipt::Model),
    AccountData(account_data::Model),
    ThreadSubscription(thread_subscription::Model),
}

/// Before the position is known.
const UNKNOWN: Position = Position::ZERO;

pub(crate) fn prepare(write: Write) -> Prepared {
    let mut prepared = Prepared {
        chain: write.chain,
        ..Prepared::default()
    };
    for plain in write.plain {
        prepared.plain(plain);
    }
    for (index, logged) in write.logged.into_iter().enumerate() {
        prepared.logged(index, logged);
    }
    prepared
}

impl Prepared {
    fn plain(&mut self, plain: Plain) {
        match plain {
            Plain::StateKey(key) => self.state_keys.push(key.into()),
            Plain::Room(room) => {
                self.listed.push((room.row, room.published));
                self.rooms.push(room.into());
            }
            Plain::Summary(summary) => self.summaries.push(*summary),
            Plain::RoomHead(head) => self.heads.push(head),
            Plain::Snapshot(snapshot) => self.snapshots.push(snapshot.into()),
            Plain::Membership {
                room,
                event,
                membership,
                at,
            } => {
                self.memberships
                    .push((at, member(room, event, &membership)));
            }
            Plain::Redacted { .. }
            | Plain::MemberBlanked { .. }
            | Plain::Forgotten { .. }
            | Plain::Gap { .. }
            | Plain::EventsDeleted { .. } => {
                self.afterwards.push(plain);
            }
            _ => self.ordered.push(plain),
        }
    }

    fn logged(&mut self, index: usize, logged: Logged) {
        let (row, place) = match &logged {
            Logged::Event(new) => {
                for (event, change) in new.memberships() {
                    let model = member(new.room, event, change);
                    self.memberships.push((At::Logged(index), model));
                }
                (Row::Event(new.into()), new.place)
            }
            Logged::Receipt(new) => (Row::Receipt(new.into()), Place::New),
            Logged::AccountData(new) => (Row::AccountData(new.into()), Place::New),
            Logged::ThreadSubscription(new) => (Row::ThreadSubscription(new.into()), Place::New),
        };
        let (relation, searchable, self_destruct) = match &logged {
            Logged::Event(new) => (
                relation::Model::of(new),
                searchable::Model::of(new),
                self_destruct::Model::of(new),
            ),
            _ => (None, None, None),
        };
        self.logged.push(Entry {
            row,
            relation,
            searchable,
            self_destruct,
            place,
            announcement: Arc::new(logged),
        });
    }
}

fn member(room: RoomRow, event: EventRow, new: &NewMembership) -> membership::Model {
    membership::Model {
        room,
        user_id: new.user_id.to_string(),
        server: new.user_id.server_name().to_string(),
        membership: new.membership,
        event,
        sender: new.sender.to_string(),
        position: UNKNOWN,
        forgotten: false,
        displayname: new.displayname.clone(),
        avatar_url: new.avatar_url.clone(),
    }
}

impl From<&NewThreadSubscription> for thread_subscription::Model {
    fn from(new: &NewThreadSubscription) -> Self {
        Self {
            user_id: new.user_id.to_string(),
            room: new.room,
            thread_root: new.thread_root.to_string(),
            subscribed: new.subscribed,
            automatic: new.automatic,
            position: UNKNOWN,
        }
    }
}

impl From<&NewEvent> for event::Model {
    fn from(new: &NewEvent) -> Self {
        let event = &new.event;
        let (anchor, rank) = match new.place {
            Place::History { anchor, rank } => (Some(anchor), Some(rank)),
            Place::New | Place::Outlier => (None, None),
        };
        Self {
            id: new.row,
            event_id: event.id().to_string(),
            room: new.room,
            position: None,
            anchor,
            rank,
            gap: new.gap.then_some(true),
            resettled: new.resettled.is_some().then_some(true),
            outgoing: None,
            sender: event.sender().to_string(),
            event_type: event.event_type().to_owned(),
            state_key: new.state_key,
            depth: event.depth(),
            origin_server_ts: event.origin_server_ts(),
            outcome: new.outcome,
            snapshot: new.snapshot,
            current: new.current,
            replaces: new.replaces,
            redacted_by: None,
            json: event.to_json(),
            txn_device: new.txn.as_ref().map(|txn| txn.device.clone()),
            txn_scope: new.txn.as_ref().map(|txn| txn.scope.clone()),
            txn_id: new.txn.as_ref().map(|txn| txn.id.clone()),
        }
    }
}

impl From<&NewReceipt> for receipt::Model {
    fn from(new: &NewReceipt) -> Self {
        Self {
            room: new.room,
            user_id: new.user_id.to_string(),
            kind: new.kind.clone(),
            thread_id: new.thread_id.clone(),
            event_id: new.event_id.to_string(),
            ts: new.ts,
            position: UNKNOWN,
        }
    }
}

impl From<&NewAccountData> for account_data::Model {
    fn from(new: &NewAccountData) -> Self {
        Self {
            user_id: new.user_id.to_string(),
            room: new.room.unwrap_or(account_data::GLOBAL),
            event_type: new.event_type.clone(),
            content: new.content.clone(),
            position: UNKNOWN,
        }
    }
}

impl From<NewStateKey> for state_key::Model {
    fn from(new: NewStateKey) -> Self {
        Self {
            id: new.id,
            event_type: new.event_type,
            state_key: new.state_key,
        }
    }
}

impl From<NewRoom> for room::Model {
    fn from(new: NewRoom) -> Self {
        Self {
            id: new.row,
            room_id: new.room_id.to_string(),
            version: new.version,
            creator: new.creator.to_string(),
            snapshot: None,
            extremities: pack_events(&[]),
        }
    }
}

impl From<NewSnapshot> for snapshot::Model {
    fn from(new: NewSnapshot) -> Self {
        Self {
            id: new.row,
            room: new.room,
            parent: new.parent,
            chain: new.chain,
            entries: new.entries,
        }
    }
}
