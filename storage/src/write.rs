//! The one list of all that can be written.
//!
//! A [`Write`] is one atomic unit: all of it is on disk, or nothing. What others may learn by
//! waiting is [`Logged`] and gets a position; all else is [`Plain`].

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};
use spec::event::Event;

pub use crate::entity::event::Outcome;
use crate::{
    entity::{
        access_token, account, delayed_event, destination, device, email_address, filter,
        membership::Membership, notification, openid_token, pending_redaction, presence, profile,
        purge, pusher, reading, refresh_token, registration_token, remote_key, remote_key_document,
        report, secret, server_key, sliding_connection, sliding_room, staged_event,
        unspread_profile,
    },
    id::{EventRow, Position, RoomRow, SnapshotRow, StateKeyRow},
    purges::Lifetime,
};

/// What a client of sliding sync has with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlidingAnswered {
    /// The connection as it is then.
    pub connection: sliding_connection::Model,
    /// Of a connection that is kept: the rooms that are not as they were in the generation `used`.
    pub rooms: Vec<sliding_room::Model>,
    /// Whether all of it is here, and nothing counts that was kept of it before.
    pub whole: bool,
}

/// One atomic unit of writing.
#[derive(Clone, Debug, Default)]
pub struct Write {
    /// The sequence that this write belongs to, if it builds on earlier ones.
    pub chain: Option<Arc<Chain>>,
    /// What has no position.
    pub plain: Vec<Plain>,
    /// What has a position; consecutive ones, in this order.
    pub logged: Vec<Logged>,
    /// Ends when the write has been answered, or will never be made.
    pub under_way: UnderWay,
}

/// A write that is not in the database yet, for caches that must not lose what only they have. The default one has
/// nothing to do with any other.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<()>);

impl UnderWay {
    /// What tells whether the write is still under way.
    #[must_use]
    pub fn watch(&self) -> Unwritten {
        Unwritten(Arc::downgrade(&self.0))
    }
}

/// Whether something is waiting to be written. The default is not.
#[derive(Clone, Debug, Default)]
pub struct Unwritten(Weak<()>);

impl Unwritten {
    /// Whether it cannot be found in the database yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Write {
    /// A write of plain rows only.
    #[must_use]
    pub fn plain(plain: Vec<Plain>) -> Self {
        Self {
            plain,
            ..Self::default()
        }
    }

    /// A write of one announcement only.
    #[must_use]
    pub fn logged(logged: Logged) -> Self {
        Self {
            logged: vec![logged],
            ..Self::default()
        }
    }

    /// The same write as a link of `chain`.
    #[must_use]
    pub fn chained(mut self, chain: &Arc<Chain>) -> Self {
        self.chain = Some(Arc::clone(chain));
        self
    }
}

/// A sequence of writes, each of which takes for granted that those before it succeed.
///
/// Once one has failed, the later ones fail too, untried, with
/// [`Error::ChainBroken`](crate::Error::ChainBroken); whoever builds the writes then reads anew
/// what is stored and starts another chain.
#[derive(Debug, Default)]
pub struct Chain {
    broken: AtomicBool,
}

impl Chain {
    /// A chain in which nothing has failed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Whether a write of the chain has failed.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Has all later writes of the chain fail, for instance when its builder has lost its way.
    pub fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }
}

/// What a successful write has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The position of each [`Write::logged`], in order; `None` for an outlier.
    pub positions: Vec<Option<Position>>,
    /// A reader at this position sees the write.
    pub position: Position,
}

/// What has a position. Once committed it is itself the announcement to [`Listener`](crate::Listener)s.
#[derive(Clone, Debug)]
pub enum Logged {
    /// An event. Announced only if its place is [`Place::New`].
    Event(NewEvent),
    /// A receipt: replaces the one of the same room, user, kind and thread.
    Receipt(NewReceipt),
    /// Account data: replaces that of the same user, room and type.
    AccountData(NewAccountData),
    /// Whether a user follows a thread: replaces the row of the same user and thread.
    ThreadSubscription(NewThreadSubscription),
}

/// An event to be stored.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// From [`Ids::next_event`](crate::Ids::next_event).
    pub row: EventRow,
    /// Its room.
    pub room: RoomRow,
    /// The event.
    pub event: Arc<Event>,
    /// What became of it.
    pub outcome: Outcome,
    /// Of a state event.
    pub state_key: Option<StateKeyRow>,
    /// The state of the room before the event.
    pub snapshot: Option<SnapshotRow>,
    /// The current state of the room once the event is taken in.
    pub current: Option<SnapshotRow>,
    /// Of a state event: the one whose place it takes.
    pub replaces: Option<EventRow>,
    /// Where it stands in the log.
    pub place: Place,
    /// Whether it was stored before without a place in its room, so that its row is replaced.
    pub promoted: bool,
    /// Whether this server brings it to the others in the room: those that its own users send, and those that
    /// another server has handed to it for all. Only with [`Place::New`].
    pub outgoing: bool,
    /// The transaction ID of the client that sent it.
    pub txn: Option<Txn>,
    /// What the event makes of a user, if that is so by the current state now.
    pub membership: Option<NewMembership>,
    /// Whether events right before it are missing, so that it does not follow what was news before it.
    pub gap: bool,
    /// The current state changed otherwise than by this event alone: forks were resolved with it.
    pub resettled: Option<Resettled>,
}

impl NewEvent {
    /// Whether it counts, and stands in the timeline.
    pub(crate) fn has_place(&self) -> bool {
        self.outcome == Outcome::Accepted && self.place != Place::Outlier
    }

    /// What users are from now on, each with the event that says so, the newest last.
    pub fn memberships(&self) -> impl Iterator<Item = (EventRow, &NewMembership)> {
        let own = self.membership.iter().map(|member| (self.row, member));
        let resettled = self.resettled.iter().flat_map(|also| &also.members);
        own.chain(resettled.map(|(event, member)| (*event, member)))
    }
}

/// What a resolution of forks has changed, besides what the event says with which it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resettled {
    /// What users are from now on, and the event that says so; of a membership that nothing took the place of, the event
    /// that counts no more.
    pub members: Vec<(EventRow, NewMembership)>,
}

/// Where an event stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the end: it is news.
    New,
    /// In front of what was news at `anchor`: it was missing there. The events of one write come newest first.
    History {
        /// The position of that news.
        anchor: Position,
        /// Its order among all that stands there; see [`Spot`](crate::timeline::Spot).
        rank: i64,
    },
    /// Nowhere.
    Outlier,
}

/// A client's transaction ID, which makes a repeated request harmless
/// (client-server API, "Transaction identifiers").
///
/// A second event of the same sender, device, scope and id is an
/// [`Error::Conflict`](crate::Error::Conflict).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// The device that sent it.
    pub device: String,
    /// The kind of request, with its path as far as that matters.
    pub scope: String,
    /// As the client chose it.
    pub id: String,
}

/// What a user has become in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMembership {
    /// The user: the state key of the event.
    pub user_id: OwnedUserId,
    /// What the user is now.
    pub membership: Membership,
    /// Who sent the event.
    pub sender: OwnedUserId,
    /// The user's name in the room.
    pub displayname: Option<String>,
    /// The user's picture in the room.
    pub avatar_url: Option<String>,
}

/// How far a user has read (client-server API, "Receipts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReceipt {
    /// Where.
    pub room: RoomRow,
    /// Its ID, for those who hear of it.
    pub room_id: OwnedRoomId,
    /// Who.
    pub user_id: OwnedUserId,
    /// `m.read` or `m.read.private`.
    pub kind: String,
    /// The thread; empty for none.
    pub thread_id: String,
    /// Up to where.
    pub event_id: OwnedEventId,
    /// When, in ms.
    pub ts: i64,
}

/// What a client keeps on the server (client-server API, "Client config").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccountData {
    /// Whose.
    pub user_id: OwnedUserId,
    /// For which room; `None` for all.
    pub room: Option<RoomRow>,
    /// The type.
    pub event_type: String,
    /// The content: a JSON object.
    pub content: String,
}

/// Whether a user follows a thread (MSC4306).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewThreadSubscription {
    /// Whose.
    pub user_id: OwnedUserId,
    /// Where.
    pub room: RoomRow,
    /// The event that the thread begins with.
    pub thread_root: OwnedEventId,
    /// Whether the user follows it from now on; else they have stopped to.
    pub subscribed: bool,
    /// Whether the client has decided that, and not the user.
    pub automatic: bool,
}

/// At which position something became so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// That of the entry with this index in [`Write::logged`]. It must have one.
    Logged(usize),
    /// A known one.
    Position(Position),
}

/// What has no position.
///
/// Rows of state keys, rooms and snapshots are written before all else, changes of stored events
/// after them; everything about accounts in the order of the writes.
#[derive(Clone, Debug)]
pub enum Plain {
    /// A pair of type and state key; nothing happens if it is there under the same id.
    /// Comes from [`StateKeys::resolve`](crate::StateKeys::resolve).
    StateKey(NewStateKey),
    /// A new room. [`Error::Conflict`](crate::Error::Conflict) if the server knows it.
    Room(NewRoom),
    /// The room's forward extremities and current state.
    RoomHead(RoomHead),
    /// The version of a room that had been said to have another.
    RoomVersion {
        /// Which.
        room: RoomRow,
        /// Its version.
        version: String,
    },
    /// What the room shows of itself from now on.
    Summary(Box<NewSummary>),
    /// Whether the directory lists the room.
    RoomPublished {
        /// Which.
        room: RoomRow,
        /// Listed from now on?
        published: bool,
    },
    /// The room was replaced, by whichever room: the directory lists it no more.
    RoomReplaced {
        /// Which.
        room: RoomRow,
    },
    /// A state. From [`snapshots::Lineage`](crate::snapshots::Lineage).
    Snapshot(NewSnapshot),
    /// What a user is in a room by an event that is not in this write, or is an outlier in it.
    Membership {
        /// The room.
        room: RoomRow,
        /// The event that says so.
        event: EventRow,
        /// What the user is.
        membership: NewMembership,
        /// Since when.
        at: At,
    },
    /// The user wants to see nothing of the room any more, until the next change of membership.
    Forgotten {
        /// The room.
        room: RoomRow,
        /// The user.
        user_id: OwnedUserId,
    },
    /// An event was redacted.
    Redacted {
        /// Which.
        event: EventRow,
        /// By which redaction.
        by: EventRow,
        /// What is left of it.
        json: String,
    },
    /// Nothing is known any more of what a redacted event called its member.
    MemberBlanked {
        /// The room.
        room: RoomRow,
        /// Whom the event is about.
        user_id: OwnedUserId,
        /// The event that was redacted. Where another has taken its place, that one's word stands.
        event: EventRow,
    },
    /// A redaction that has emptied nothing, in this write or one before.
    PendingRedaction(pending_redaction::Model),
    /// The redaction has emptied its event, or may have if another had not come first: clients may see it.
    RedactionApplied {
        /// Which.
        redaction: EventRow,
    },
    /// Whether events right before a stored one are missing, that other servers may have.
    Gap {
        /// Before which.
        event: EventRow,
        /// Missing from now on?
        open: bool,
    },
    /// Events are deleted, and all that is kept of them elsewhere. No event may build upon them, and no state be made of them.
    EventsDeleted {
        /// Their room.
        room: RoomRow,
        /// Which.
        events: Vec<EventRow>,
    },
    /// A user of this server has forgotten a room, which may be deleted once nobody wants it; replaces the row of the room.
    PurgePlanned(purge::Model),
    /// Somebody wants the room again.
    PurgeDropped {
        /// Which.
        room: RoomRow,
    },
    /// The room is unknown from now on. What is left of it goes in steps.
    RoomGoing {
        /// Which.
        room: RoomRow,
        /// This server, of which no user wants it.
        server: OwnedServerName,
    },
    /// Deletes some of what is left of a room that is going.
    RoomStep {
        /// Which.
        room: RoomRow,
    },
    /// A new alias. [`Error::Conflict`](crate::Error::Conflict) if it leads somewhere.
    Alias {
        /// The alias.
        alias: OwnedRoomAliasId,
        /// Where it leads.
        room: RoomRow,
        /// Who made it.
        creator: OwnedUserId,
    },
    /// The alias leads nowhere any more.
    AliasDelete {
        /// The alias.
        alias: OwnedRoomAliasId,
    },
    /// Another room takes the place of one: the aliases lead to it from now on, and the directory lists it, if it listed
    /// the former when that was replaced.
    RoomSucceeded {
        /// Where they led.
        from: RoomRow,
        /// Where they lead.
        to: RoomRow,
    },
    /// An event that is sent later; replaces the row of the same id.
    DelayedEvent(Box<delayed_event::Model>),
    /// Forgets what became of delayed events.
    DelayedEventsForgotten {
        /// Of those that were done with before, in ms.
        finished_before_ts: i64,
    },
    /// The rooms of a user may not know their newest name and picture; replaces the row of the same user.
    UnspreadProfile(unspread_profile::Model),
    /// The rooms of a user know them.
    ProfileSpread {
        /// Whose.
        user_id: OwnedUserId,
        /// As of this change. Nothing happens if there was another.
        change: String,
    },
    /// A report to those who run the server. Its id is given by the database.
    Report(Box<report::Model>),
    /// Deletes a report.
    ReportDelete {
        /// Which.
        id: i64,
    },
    /// A new account. [`Error::Conflict`](crate::Error::Conflict) if the name is taken.
    Account(account::Model),
    /// Changes an account: what is `Set` in the model, found by its `user_id`.
    AccountUpdate(account::ActiveModel),
    /// Deletes an account, and its devices, tokens, profile and filters.
    AccountDelete {
        /// Whose.
        user_id: OwnedUserId,
    },
    /// A device; replaces the one of the same user and ID.
    Device(device::Model),
    /// Changes a device: what is `Set` in the model, found by its `user_id` and `device_id`.
    DeviceUpdate(device::ActiveModel),
    /// Deletes a device and its tokens.
    DeviceDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// Which.
        device_id: String,
    },
    /// Deletes all devices of a user and their tokens.
    DevicesDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// But not this one.
        except: Option<String>,
    },
    /// Deletes all tokens of a device, and keeps the device.
    DeviceTokensDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// Which.
        device_id: String,
    },
    /// A new access token.
    AccessToken(access_token::Model),
    /// Changes an access token: what is `Set` in the model, found by its `hash`.
    AccessTokenUpdate(access_token::ActiveModel),
    /// Deletes an access token.
    AccessTokenDelete {
        /// Which.
        hash: Vec<u8>,
    },
    /// A new refresh token.
    RefreshToken(refresh_token::Model),
    /// Changes a refresh token: what is `Set` in the model, found by its `id`.
    RefreshTokenUpdate(refresh_token::ActiveModel),
    /// Deletes a refresh token.
    RefreshTokenDelete {
        /// Which.
        id: i64,
    },
    /// An e-mail address of an account. [`Error::Conflict`](crate::Error::Conflict) if it is taken.
    EmailAddress(email_address::Model),
    /// Takes an address away from an account.
    EmailAddressDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// Which.
        address: String,
    },
    /// Takes all addresses away from an account.
    EmailAddressesDelete {
        /// Whose.
        user_id: OwnedUserId,
    },
    /// A new OpenID token.
    OpenIdToken(openid_token::Model),
    /// Deletes all OpenID tokens that are refused at this time.
    OpenIdTokensExpired {
        /// In ms.
        now_ts: i64,
    },
    /// A field of a profile; replaces the one of the same user and name.
    ProfileField(profile::Model),
    /// Deletes a field of a profile.
    ProfileFieldDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// Which.
        field: String,
    },
    /// A filter; replaces the one of the same user and ID.
    Filter(filter::Model),
    /// What a client of sliding sync has with an answer. If it does not go on from what is kept of its connection, that is
    /// forgotten instead.
    SlidingConnection(SlidingAnswered),
    /// A client of sliding sync is forgotten.
    SlidingConnectionDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// The device; empty for none.
        device_id: String,
        /// Which.
        conn_id: String,
    },
    /// Clients of sliding sync that were last written down before this time, and whose device was not seen since, are forgotten.
    SlidingConnectionsExpired {
        /// In ms.
        before_ts: i64,
    },
    /// Who is there, for the next start; replaces the row of the same user.
    Presence(presence::Model),
    /// Somebody is not there any more, and says nothing of it.
    PresenceDelete {
        /// Who.
        user_id: OwnedUserId,
    },
    /// A new registration token.
    RegistrationToken(registration_token::Model),
    /// Changes a registration token: what is `Set` in the model, found by its `token`.
    RegistrationTokenUpdate(registration_token::ActiveModel),
    /// Counts one completed registration. [`Error::Conflict`](crate::Error::Conflict) if the
    /// token does not exist or was used as often as it may be.
    RegistrationTokenUse {
        /// Which.
        token: String,
    },
    /// Deletes a registration token.
    RegistrationTokenDelete {
        /// Which.
        token: String,
    },
    /// Random bytes that this server keeps for itself. [`Error::Conflict`](crate::Error::Conflict) if there are some of this
    /// name.
    Secret(secret::Model),
    /// A signing key of this server; replaces the one of the same ID.
    ServerKey(server_key::Model),
    /// Signing keys of another server.
    RemoteKeys(RemoteKeys),
    /// A server that does not have everything yet; replaces the row of the same server.
    Destination(destination::Model),
    /// A server has everything.
    DestinationDelete {
        /// Which.
        server: OwnedServerName,
    },
    /// Events of other servers that wait for what they build on. Nothing happens to one that waits already.
    Staged(Vec<staged_event::Model>),
    /// Events that wait no more.
    Unstaged {
        /// Their room.
        room: RoomRow,
        /// Which.
        event_ids: Vec<OwnedEventId>,
    },
    /// Up to where all servers without a row of their own have everything.
    OutboxFloor(Position),
    /// What notifies whom. Nothing happens to what is known already.
    Notifications(Vec<notification::Model>),
    /// An event notifies nobody any more.
    NotificationsWithdrawn {
        /// Its room.
        room: RoomRow,
        /// Its place in the log.
        position: Position,
    },
    /// Forgets what notifies whom in a room before this position (exclusive).
    NotificationsPruned {
        /// Where.
        room: RoomRow,
        /// Before which position.
        before: Position,
    },
    /// Users have read so far; nothing happens where one had read further. No two may be of the same user, room and thread.
    Readings(Vec<reading::Model>),
    /// A user joined a room: nothing before that is unread to them.
    ReadingBegins {
        /// Who.
        user_id: OwnedUserId,
        /// Where.
        room: RoomRow,
        /// The position of the join.
        position: Position,
    },
    /// A user is in a room no more.
    ReadingEnds {
        /// Who.
        user_id: OwnedUserId,
        /// Where.
        room: RoomRow,
    },
    /// Up to where it is known what notifies whom.
    NotificationsFloor(Position),
    /// A pusher; replaces the one of the same user, app and key.
    Pusher(Box<pusher::Model>),
    /// Changes a pusher: what is `Set` in the model, found by its user, app and key.
    PusherUpdate(Box<pusher::ActiveModel>),
    /// Deletes a pusher.
    PusherDelete {
        /// Whose.
        user_id: OwnedUserId,
        /// Of which app.
        app_id: String,
        /// With which key.
        pushkey: String,
    },
    /// Deletes the pushers of all other users with the same app and key.
    PushersTaken {
        /// Of which app.
        app_id: String,
        /// With which key.
        pushkey: String,
        /// Whose stays.
        by: OwnedUserId,
    },
}

/// Keys of another server, and the document that lists them. Each takes the place of the one of the same ID; of too many
/// those stay that were heard of last.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    /// The keys, of the document's server and with its time.
    pub keys: Vec<remote_key::Model>,
    /// What lists them.
    pub document: remote_key_document::Model,
}

/// A pair of event type and state key to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStateKey {
    /// Its number.
    pub id: StateKeyRow,
    /// The event type.
    pub event_type: String,
    /// The state key.
    pub state_key: String,
}

/// A room to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRoom {
    /// From [`Ids::next_room`](crate::Ids::next_room).
    pub row: RoomRow,
    /// Its ID.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: String,
    /// Who sent the create event.
    pub creator: OwnedUserId,
    /// Whether the directory lists it.
    pub published: bool,
}

/// What a room shows of itself. How many are joined, and whether it is listed, is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSummary {
    /// The room.
    pub room: RoomRow,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its main alias.
    pub canonical_alias: Option<String>,
    /// Who may join.
    pub join_rule: String,
    /// The rooms whose members may join, as a JSON list; `None`: no room opens it.
    pub allowed_rooms: Option<String>,
    /// The type in its create event.
    pub room_type: Option<String>,
    /// The algorithm by which it is encrypted.
    pub encryption: Option<String>,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// Whether users of other servers may be in it.
    pub federated: bool,
    /// How long it wants messages to be kept.
    pub lifetime: Lifetime,
    /// What a search looks through: lower case.
    pub search: String,
}

impl NewSummary {
    /// That of a room without state: closed to all.
    #[must_use]
    pub fn blank(room: RoomRow) -> Self {
        Self {
            room,
            name: None,
            topic: None,
            avatar_url: None,
            canonical_alias: None,
            join_rule: "invite".to_owned(),
            allowed_rooms: None,
            room_type: None,
            encryption: None,
            world_readable: false,
            guest_can_join: false,
            federated: true,
            lifetime: Lifetime::default(),
            search: String::new(),
        }
    }
}

/// Where a room stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHead {
    /// The room.
    pub room: RoomRow,
    /// The events that no event follows yet.
    pub extremities: Vec<EventRow>,
    /// The current state.
    pub snapshot: Option<SnapshotRow>,
}

/// A state to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSnapshot {
    /// From [`Ids::next_snapshot`](crate::Ids::next_snapshot).
    pub row: SnapshotRow,
    /// Whose state it is.
    pub room: RoomRow,
    /// The list below; `None` for a full list.
    pub parent: Option<SnapshotRow>,
    /// How many lists are below.
    pub chain: i32,
    /// Packed changes on top of the parent.
    pub entries: Vec<u8>,
}
