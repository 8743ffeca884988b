//! What the parts of the engine share: the store, the clock, the server's key, and the caches over the store.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use ruma::{OwnedServerName, RoomVersionId};
use spec::sign::{PublishedKey, ServerKey};
use storage::Store;

use crate::{
    Clock,
    audience::Audiences,
    chance::Chance,
    delayed_events::Delays,
    ephemeral::Ephemeral,
    erased::Erased,
    events::Events,
    guests::GuestDoors,
    ignores::Ignores,
    inbound::staging::Staging,
    notices::Notices,
    notifier::Notifier,
    peers::Peers,
    policy_lists::PolicyLists,
    presence::Presence,
    push::{deliver::Deliveries, scores::Scores},
    remote::{
        Handshakes, WholeStates,
        asked::{Asked, Lately},
        backfill::Backfills,
    },
    retention::RetentionSettings,
    room_meta::RoomMetas,
    secrets::Secrets,
    space::Walk,
    states::States,
    sync::{
        lazy::SentMembers,
        roster::Rosters,
        sliding::{Connections, Listings},
    },
    third_party::Identity,
    transactions::Transactions,
    typing::Typing,
};

/// Shared by rooms, reads and sync. Nothing in it decides anything.
pub(crate) struct Context {
    pub(crate) server_name: OwnedServerName,
    pub(crate) default_room_version: RoomVersionId,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<Chance>,
    pub(crate) key: Arc<ServerKey>,
    /// The keys with which this server once signed, by id.
    pub(crate) former_keys: BTreeMap<String, PublishedKey>,
    /// How long things are kept.
    pub(crate) retention: RetentionSettings,
    pub(crate) secrets: Secrets,
    pub(crate) metas: RoomMetas,
    pub(crate) events: Events,
    pub(crate) states: States,
    pub(crate) erased: Erased,
    pub(crate) ignores: Arc<Ignores>,
    pub(crate) guest_doors: Arc<GuestDoors>,
    /// Whom the operator shuts out by the lists of others.
    pub(crate) policy_lists: Arc<PolicyLists>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) ephemeral: Arc<Ephemeral>,
    pub(crate) typing: Arc<Typing>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) audiences: Audiences,
    /// What notifies whom.
    pub(crate) scores: Scores,
    pub(crate) rosters: Arc<Rosters>,
    /// The members that lazily loading clients have been sent.
    pub(crate) sent_members: SentMembers,
    /// What the clients of sliding sync have been sent.
    pub(crate) connections: Connections,
    /// The rooms of those who use it.
    pub(crate) listings: Listings,
    pub(crate) transactions: Transactions,
    /// Who waits to be told of it by push gateways.
    pub(crate) deliveries: Deliveries,
    pub(crate) backfills: Backfills,
    /// What other servers have answered lately.
    pub(crate) asked: Asked,
    /// Walks through spaces, by the token of their next page.
    pub(crate) walks: Lately<String, Arc<Walk>>,
    /// The events of other servers that wait for what they build on.
    pub(crate) staging: Arc<Staging>,
    pub(crate) handshakes: Handshakes,
    /// Whose turn it is to fetch the whole state of a room.
    pub(crate) whole_states: WholeStates,
    pub(crate) delays: Delays,
    /// Who knows whose an e-mail address is.
    pub(crate) identity: Identity,
    pub(crate) notices: Notices,
    /// Empty as long as this server talks to no others.
    pub(crate) peers: OnceLock<Arc<dyn Peers>>,
}
