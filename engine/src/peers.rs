//! Other servers, as the engine sees them. The federation crate fills this in; the engine never speaks HTTP.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName, UserId,
};
use spec::{json::Object, sign::PublishedKey};

use crate::Direction;

use crate::directory::{PublicRooms, PublicRoomsAsk};

/// Why another server gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It could not be reached, answered too late, or with a server error. Another server may do.
    #[error("{0} cannot be reached")]
    Unreachable(OwnedServerName),
    /// It has too much to do, and says when to come back. Only policy servers are heard out so far.
    #[error("{server} has too much to do")]
    Busy {
        /// Who.
        server: OwnedServerName,
        /// After what time it may be asked again.
        retry_after: Duration,
    },
    /// It refused, and says why.
    #[error("{server} refused with {status} {errcode}: {error}")]
    Refused {
        /// Who.
        server: OwnedServerName,
        /// The status of its answer, 400 to 499.
        status: u16,
        /// The Matrix error code.
        errcode: String,
        /// Its sentence for people.
        error: String,
        /// The whole body: some codes carry more.
        body: Object,
    },
    /// It answered something that the specification does not allow.
    #[error("{server} answered nonsense: {why}")]
    Invalid {
        /// Who.
        server: OwnedServerName,
        /// What is wrong with the answer.
        why: String,
    },
}

/// A draft of a membership event, made by a server that is in the room.
#[derive(Clone, Debug)]
pub struct Template {
    /// The version of the room; `None` means "1".
    pub room_version: Option<String>,
    /// The event without hashes and signatures.
    pub event: Object,
}

/// A room, as the server through which one joins it gives it away.
#[derive(Clone, Debug)]
pub struct JoinedState {
    /// The state before the join.
    pub state: Vec<Object>,
    /// All events that permit those of the state.
    pub auth_chain: Vec<Object>,
    /// The join with the resident server's signature, where it had to add one.
    pub event: Option<Object>,
    /// Who else is in the room.
    pub servers_in_room: Vec<OwnedServerName>,
}

/// A signing key that an event or request names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// Whose.
    pub server: OwnedServerName,
    /// `ed25519:…`
    pub key_id: String,
}

/// The answer of another server.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, PeerError>>;

/// What the engine asks of other servers: server-server API. Events travel as they came, unchecked.
pub trait Peers: Send + Sync + 'static {
    /// Whether a server could not be reached lately: others are asked first.
    fn is_resting(&self, server: &ServerName) -> bool;

    /// A draft of `user`'s join, leave or knock (`membership`): "Joining rooms", "Leaving rooms", "Knocking".
    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        membership: &'a str,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> Answer<'a, Template>;

    /// Sends a signed join; answers with the room.
    fn send_join<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
        join: &'a Object,
    ) -> Answer<'a, JoinedState>;

    /// Sends a signed leave.
    fn send_leave<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
        leave: &'a Object,
    ) -> Answer<'a, ()>;

    /// Sends a signed knock; answers with what one may know of the room.
    fn send_knock<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
        knock: &'a Object,
    ) -> Answer<'a, Vec<Object>>;

    /// Sends an invite to the invited user's server; answers with it, signed by that server too.
    fn invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_version: &'a str,
        room: &'a RoomId,
        event_id: &'a EventId,
        invite: &'a Object,
        room_state: Vec<Object>,
    ) -> Answer<'a, Object>;

    /// Asks the server of whoever invited an address for the invite of the user who has it. That invite comes before the
    /// answer: "Third-party invites".
    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        invite: Object,
    ) -> Answer<'a, ()>;

    /// Asks a policy server to sign an event: answers with signatures, by server and key.
    fn policy_sign<'a>(&'a self, server: &'a ServerName, event: &'a Object) -> Answer<'a, Object>;

    /// The keys of these names that can be had in a time, from memory, from their servers, or from notaries. Each comes
    /// with a moment in ms: a key whose known validity ends before is asked for anew.
    fn public_keys<'a>(
        &'a self,
        names: BTreeMap<KeyName, i64>,
        within: Duration,
    ) -> BoxFuture<'a, HashMap<KeyName, PublishedKey>>;

    /// One event.
    fn event<'a>(&'a self, server: &'a ServerName, event_id: &'a EventId) -> Answer<'a, Object>;

    /// The auth chain of an event.
    fn event_auth<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, Vec<Object>>;

    /// The ids of the state before an event, and of its auth chain.
    fn state_ids<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, (Vec<OwnedEventId>, Vec<OwnedEventId>)>;

    /// The state before an event, and its auth chain.
    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        event_id: &'a EventId,
    ) -> Answer<'a, (Vec<Object>, Vec<Object>)>;

    /// Events before and including `from`, newest first, at most `limit`.
    fn backfill<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        from: &'a [OwnedEventId],
        limit: u32,
    ) -> Answer<'a, Vec<Object>>;

    /// The event nearest to `ts`, in ms, in one direction, and its own time.
    fn event_near<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        ts: i64,
        direction: Direction,
    ) -> Answer<'a, (OwnedEventId, i64)>;

    /// Events between `earliest` and `latest`, at most `limit`.
    fn missing_events<'a>(
        &'a self,
        server: &'a ServerName,
        room: &'a RoomId,
        earliest: &'a [OwnedEventId],
        latest: &'a [OwnedEventId],
        limit: u32,
    ) -> Answer<'a, Vec<Object>>;

    /// A page of the public rooms of that server.
    fn public_rooms<'a>(
        &'a self,
        server: &'a ServerName,
        ask: &'a PublicRoomsAsk,
    ) -> Answer<'a, PublicRooms>;

    /// A room with its children, as far as users of this server could be in them.
    fn hierarchy<'a>(&'a self, server: &'a ServerName, room: &'a RoomId) -> Answer<'a, Object>;

    /// Where an alias of that server leads, and who is there.
    fn query_directory<'a>(
        &'a self,
        server: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> Answer<'a, (OwnedRoomId, Vec<OwnedServerName>)>;

    /// The profile of a user of that server, or one field of it.
    fn query_profile<'a>(
        &'a self,
        server: &'a ServerName,
        user: &'a UserId,
        field: Option<&'a str>,
    ) -> Answer<'a, Object>;
}
