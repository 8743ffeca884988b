//! What a client of sliding sync gets. The dialects write it each in their own words.

use std::collections::BTreeMap;

use ruma::{
    OwnedRoomId,
    events::{
        AnyGlobalAccountDataEvent, AnyRoomAccountDataEvent, AnyStrippedStateEvent,
        AnySyncEphemeralRoomEvent, AnySyncStateEvent, AnySyncTimelineEvent,
    },
    serde::Raw,
};

use crate::ThreadSubscriptionChanges;

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct SlidingAnswer {
    /// Where the client is with it.
    pub pos: String,
    /// The lists.
    pub lists: BTreeMap<String, ListAnswer>,
    /// The rooms with news.
    pub rooms: BTreeMap<OwnedRoomId, RoomAnswer>,
    /// What else was wanted.
    pub extensions: ExtensionsAnswer,
}

impl SlidingAnswer {
    /// Whether it brings any news.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let extensions = &self.extensions;
        !(self.rooms.is_empty()
            && extensions.account_data.is_empty()
            && extensions.receipts.is_empty()
            && extensions.typing.is_empty()
            && extensions.thread_subscriptions.changes.is_empty())
    }
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListAnswer {
    /// How many rooms it has, whatever its window.
    pub count: usize,
    /// The parts of it that were asked for: first and last place, and the rooms there. Empty unless these were asked for.
    pub ranges: Vec<((u64, u64), Vec<OwnedRoomId>)>,
}

/// The news of one room. What is absent has not changed or, in an `initial` answer, is not there.
#[derive(Clone, Debug, Default)]
pub struct RoomAnswer {
    /// What the user is there.
    pub membership: &'static str,
    /// Grows with what people do in the room.
    pub bump_stamp: Option<i64>,
    /// The lists in whose windows the room is.
    pub lists: Vec<String>,
    /// Whether this is all that there is to know.
    pub initial: bool,
    /// Whether there are events among the timeline that were sent before.
    pub expanded_timeline: bool,
    /// The name; `Some(None)`: removed.
    pub name: Option<Option<String>>,
    /// The picture; `Some(None)`: removed.
    pub avatar: Option<Option<String>>,
    /// Those by whom a room without name is named.
    pub heroes: Option<Vec<Hero>>,
    /// Whether the user counts it as a direct chat.
    pub is_dm: Option<bool>,
    /// State that has changed.
    pub required_state: Vec<Raw<AnySyncStateEvent>>,
    /// State that is no more: type and state key.
    pub removed_state: Vec<(String, String)>,
    /// The newest events, oldest first.
    pub timeline: Vec<Raw<AnySyncTimelineEvent>>,
    /// Where `messages` pages back from.
    pub prev_batch: Option<String>,
    /// Whether events were left out before the timeline.
    pub limited: bool,
    /// How many of the last events have just happened.
    pub num_live: Option<usize>,
    /// How many are in the room.
    pub joined_count: Option<u64>,
    /// How many are invited.
    pub invited_count: Option<u64>,
    /// How much of the main timeline is unread that notifies.
    pub notification_count: Option<u64>,
    /// How much of that speaks to the user.
    pub highlight_count: Option<u64>,
    /// Of a room that the user is not in and was not in: what they may know of it.
    pub stripped_state: Option<Vec<Raw<AnyStrippedStateEvent>>>,
}

/// Somebody by whom a room is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hero {
    /// Who.
    pub user_id: String,
    /// Their name in the room.
    pub displayname: Option<String>,
    /// Their picture in the room.
    pub avatar_url: Option<String>,
}

/// What was wanted besides the rooms.
#[derive(Clone, Debug, Default)]
pub struct ExtensionsAnswer {
    /// Account data.
    pub account_data: AccountDataAnswer,
    /// An event of receipts a room.
    pub receipts: BTreeMap<OwnedRoomId, Raw<AnySyncEphemeralRoomEvent>>,
    /// An event of who is typing a room.
    pub typing: BTreeMap<OwnedRoomId, Raw<AnySyncEphemeralRoomEvent>>,
    /// Threads that the user follows from now on, or no more.
    pub thread_subscriptions: ThreadSubscriptionChanges,
}

/// Account data that has changed.
#[derive(Clone, Debug, Default)]
pub struct AccountDataAnswer {
    /// That of no room.
    pub global: Vec<Raw<AnyGlobalAccountDataEvent>>,
    /// That of rooms.
    pub rooms: BTreeMap<OwnedRoomId, Vec<Raw<AnyRoomAccountDataEvent>>>,
}

impl AccountDataAnswer {
    fn is_empty(&self) -> bool {
        self.global.is_empty() && self.rooms.is_empty()
    }
}
