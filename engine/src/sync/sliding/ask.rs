//! What a client of sliding sync asks for, whichever dialect it speaks.

use std::{collections::BTreeMap, time::Duration};

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::PresenceState;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct SlidingAsk {
    /// The client's name for the connection; empty for none.
    pub conn_id: String,
    /// Where the client is; `None` to begin anew.
    pub pos: Option<String>,
    /// How long to wait for news; not looked at without `pos`.
    pub timeout: Duration,
    /// What the user is while the client syncs.
    pub presence: PresenceState,
    /// Windows over the user's rooms, by the client's names for them.
    pub lists: BTreeMap<String, ListAsk>,
    /// Whether to say which rooms are where in the lists.
    pub places: bool,
    /// Rooms that are wanted wherever they stand.
    pub subscriptions: BTreeMap<OwnedRoomId, RoomConfig>,
    /// What else is wanted.
    pub extensions: ExtensionsAsk,
}

/// A window over the rooms that pass the filters, the one with the newest event first.
#[derive(Clone, Debug, Default)]
pub struct ListAsk {
    /// First and last place, both inclusive, from zero; `None` for all.
    pub ranges: Option<Vec<(u64, u64)>>,
    /// What is wanted of each room.
    pub config: RoomConfig,
    /// Which rooms.
    pub filters: ListFilters,
}

/// Which rooms are in a list. All that is said has to hold.
#[derive(Clone, Debug, Default)]
pub struct ListFilters {
    /// Those that `m.direct` names, or those that it does not.
    pub is_dm: Option<bool>,
    /// Children of one of these spaces, as far as the user is in them.
    pub spaces: Option<Vec<OwnedRoomId>>,
    /// Those that are encrypted, or those that are not.
    pub is_encrypted: Option<bool>,
    /// Invites, or what is none.
    pub is_invited: Option<bool>,
    /// Those of one of these types; `None` is a room without.
    pub room_types: Option<Vec<Option<String>>>,
    /// None of these types.
    pub not_room_types: Option<Vec<Option<String>>>,
    /// With one of these tags.
    pub tags: Option<Vec<String>>,
    /// With none of these tags.
    pub not_tags: Option<Vec<String>>,
    /// With this in their name, whatever the case.
    pub name_like: Option<String>,
}

/// What is wanted of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomConfig {
    /// How many events at most.
    pub timeline_limit: usize,
    /// Which state: what one of these takes.
    pub required_state: Vec<RequiredState>,
}

/// Which state is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredState {
    /// What is wanted.
    pub include: Vec<StateElement>,
    /// What of that is not.
    pub exclude: Vec<StateElement>,
    /// Of the members only those who are needed for the timeline.
    pub lazy_members: bool,
}

/// Some state events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateElement {
    /// Their type; `None` for any.
    pub event_type: Option<String>,
    /// Their state key; `None` for any.
    pub state_key: Option<String>,
}

/// What is wanted besides the rooms. `None`: not wanted.
#[derive(Clone, Debug, Default)]
pub struct ExtensionsAsk {
    /// Account data, global and of rooms.
    pub account_data: Option<Scope>,
    /// Receipts.
    pub receipts: Option<Scope>,
    /// Who is typing.
    pub typing: Option<Scope>,
    /// The threads that the user follows; at most so many changes.
    pub thread_subscriptions: Option<u64>,
}

/// Of which rooms an extension speaks.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Those in the windows of these lists; `None` for all lists.
    pub lists: Option<Vec<String>>,
    /// Of the subscriptions these; `None` for all.
    pub rooms: Option<Vec<OwnedRoomId>>,
}
