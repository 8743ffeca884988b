//! The rooms of a user with what lists filter and sort by, kept up to date by the log.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::Value;
use spec::event::Event;
use storage::{
    EventRow, Logged, Position, RoomRow, account_data, events,
    members::{self, Membership},
    summaries::{self, Summary},
    write::NewMembership,
};

use super::{
    Slide,
    ask::ListFilters,
    connection::{Sent, SentRoom, Shown},
};
use crate::{
    Result,
    events::KnownEvent,
    notifier::Glance,
    read::access::{Access, is_join},
    rooms::Rooms,
    sync::{Build, changes::OwnMembership, invited::received_state},
};

/// How many rooms the listings in memory may have together.
const ROOMS_MAX: u64 = 500_000;
/// The account data that decides which invites are shown.
const DECIDING: [&str; 3] = [
    "m.ignored_user_list",
    "m.invite_permission_config",
    "org.matrix.msc4155.invite_permission_config",
];
/// The account data that names direct chats.
const DIRECT: &str = "m.direct";
/// The account data of a room that holds its tags.
const TAG: &str = "m.tag";

/// The rooms of a user, at a position.
#[derive(Clone)]
pub(super) struct Listing {
    at: Position,
    pub(super) rooms: imbl::OrdMap<RoomRow, Listed>,
    direct: HashSet<OwnedRoomId>,
}

/// One of the user's rooms.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: OwnedRoomId,
    pub(super) own: OwnMembership,
    pub(super) shown: Shown,
    /// Whether it is there only for a connection that has not heard yet that the user has gone: they have forgotten it.
    forgotten: bool,
    /// Where its newest event stands that is for the user.
    pub(super) last: Position,
    is_encrypted: bool,
    room_type: Option<String>,
    name: String,
    tags: Vec<String>,
}

impl Listed {
    /// Whether the user went by themselves: such rooms are of use only to who has seen them.
    pub(super) fn is_left(&self, by: &UserId) -> bool {
        self.forgotten || self.own.membership == Membership::Leave && self.own.sender == *by
    }
}

/// The listings of those who lately used sliding sync.
pub(crate) struct Listings {
    cache: Cache<OwnedUserId, Listing, ByRooms>,
    /// How often something was dropped: what was read before that is not kept after it.
    drops: Mutex<u64>,
}

#[derive(Clone)]
struct ByRooms;

impl Weighter<OwnedUserId, Listing> for ByRooms {
    fn weight(&self, _: &OwnedUserId, listing: &Listing) -> u64 {
        listing.rooms.len() as u64 + 4
    }
}

impl Listings {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::with_weighter(1_024, ROOMS_MAX, ByRooms),
            drops: Mutex::new(0),
        }
    }

    /// Something has changed that the log does not tell: the user has forgotten a room.
    pub(crate) fn drop_of(&self, user: &UserId) {
        *self.drops() += 1;
        self.cache.remove(user);
    }

    /// A room has been deleted.
    pub(crate) fn drop_with(&self, room: RoomRow) {
        *self.drops() += 1;
        self.cache
            .retain(|_, listing| !listing.rooms.contains_key(&room));
    }

    fn drops(&self) -> MutexGuard<'_, u64> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rooms of the user at a glance. No query if nothing but messages came since the last time.
    pub(super) async fn of(&self, build: &Build<'_>, glance: &Glance) -> Result<Listing> {
        let user = &build.by.user_id;
        let before = *self.drops();
        let current = match self.cache.get(user) {
            Some(known) if known.at >= glance.position => known,
            Some(known) => match known.brought_forward(build, glance).await? {
                Some(current) => current,
                None => Listing::read(build, glance.position).await?,
            },
            None => Listing::read(build, glance.position).await?,
        };
        let drops = self.drops();
        if *drops == before {
            self.cache.insert(user.clone(), current.clone());
        }
        Ok(current)
    }
}

impl Slide<'_> {
    /// The listing with those rooms that the user has forgotten before the client heard that they have gone. What is
    /// hidden or deleted otherwise counts as never sent. No query unless there are such rooms.
    pub(super) async fn with_lost(&self, listing: Listing, sent: &mut Sent) -> Result<Listing> {
        let is_lost = |(row, sent): &(&RoomRow, &SentRoom)| {
            sent.shown != Shown::Left && !listing.rooms.contains_key(*row)
        };
        let lost: Vec<RoomRow> = sent.iter().filter(is_lost).map(|(row, _)| *row).collect();
        if lost.is_empty() {
            return Ok(listing);
        }
        let (rooms, user) = (self.build.rooms, &self.build.by.user_id);
        let owns = members::of_user_among(rooms.context.store.reader(), user, &lost).await?;
        let is_gone = |own: &members::Member| {
            own.forgotten && matches!(own.membership, Membership::Leave | Membership::Ban)
        };
        let owns: Vec<_> = owns.into_iter().filter(is_gone).collect();
        let rows: Vec<RoomRow> = owns.iter().map(|own| own.room).collect();
        let mut listing = listing;
        let owns = owns.into_iter().map(OwnMembership::from).collect();
        listing.take_in(rooms, &self.build, owns).await?;
        for row in lost {
            match listing.rooms.get_mut(&row).filter(|_| rows.contains(&row)) {
                Some(listed) => (listed.forgotten, listed.shown) = (true, Shown::Left),
                None => drop(sent.remove(&row)),
            }
        }
        Ok(listing)
    }
}

impl Listing {
    /// Reads all of it: a bounded number of queries for 256 rooms, but for bans and kicks that followed each other.
    async fn read(build: &Build<'_>, at: Position) -> Result<Self> {
        let db = build.rooms.context.store.reader();
        let user = &build.by.user_id;
        let unreadable = build.rooms.context.metas.unreadable().await?;
        let owns = members::of_user(db, user, &[]).await?;
        let owns = owns
            .into_iter()
            .filter(|own| !unreadable.contains(&own.room))
            .map(OwnMembership::from)
            .collect();
        let mut listing = Self {
            at,
            rooms: imbl::OrdMap::new(),
            direct: HashSet::new(),
        };
        listing.take_in(build.rooms, build, owns).await?;
        for data in account_data::of_user(db, user).await? {
            listing.take_data(data.room(), &data.event_type, &data.content);
        }
        Ok(listing)
    }

    /// The same at a later position; `None` if the memory does not reach back, or another choice of rooms is shown now.
    async fn brought_forward(&self, build: &Build<'_>, glance: &Glance) -> Result<Option<Self>> {
        let user = &build.by.user_id;
        let own = |member: &NewMembership| member.user_id == *user;
        let relevant = |logged: &Logged| match logged {
            Logged::Event(new) => {
                let is_own = new.memberships().any(|(_, member)| own(member));
                is_own || glance.joined.contains(&new.room)
            }
            Logged::AccountData(new) => new.user_id == *user,
            _ => false,
        };
        let notifier = &build.rooms.context.notifier;
        let Some(recent) = notifier.recent(self.at, glance.position, relevant) else {
            return Ok(None);
        };
        let decides = |logged: &Logged| matches!(logged, Logged::AccountData(new) if DECIDING.contains(&&*new.event_type));
        if recent.iter().any(|(_, logged)| decides(logged)) {
            return Ok(None);
        }
        let mut listing = Self {
            at: glance.position,
            ..self.clone()
        };
        let mut owns: HashMap<RoomRow, OwnMembership> = HashMap::new();
        let mut stale = BTreeSet::new();
        for (position, logged) in &recent {
            let Logged::Event(new) = logged.as_ref() else {
                continue;
            };
            let of_user = new.memberships().filter(|(_, member)| own(member));
            if let Some((event, member)) = of_user.last() {
                let own = OwnMembership {
                    room: new.room,
                    membership: member.membership,
                    event,
                    position: *position,
                    sender: member.sender.to_string(),
                };
                owns.insert(new.room, own);
            } else if let Some(listed) = listing.rooms.get_mut(&new.room)
                && listed.shown == Shown::Joined
            {
                listed.last = *position;
                let describes = new.state_key.is_some() && new.membership.is_none();
                if describes || new.resettled.is_some() {
                    stale.insert(new.room);
                }
            }
        }
        let owns = owns.into_values().collect();
        listing.take_in(build.rooms, build, owns).await?;
        // The tags of a room may come before it, so they are looked at when it is there.
        listing.recall_tags(build, self).await?;
        for (_, logged) in &recent {
            if let Logged::AccountData(new) = logged.as_ref() {
                listing.take_data(new.room, &new.event_type, &new.content);
            }
        }
        let stale: Vec<RoomRow> = stale.into_iter().collect();
        let db = build.rooms.context.store.reader();
        for summary in summaries::by_rows(db, &stale).await? {
            if let Some(listed) = listing.rooms.get_mut(&summary.room) {
                listed.describe(summary);
            }
        }
        Ok(Some(listing))
    }

    /// Takes in what the user has become in rooms.
    async fn take_in(
        &mut self,
        rooms: &Rooms,
        build: &Build<'_>,
        owns: Vec<OwnMembership>,
    ) -> Result<()> {
        if owns.is_empty() {
            return Ok(());
        }
        let db = rooms.context.store.reader();
        let rows: Vec<RoomRow> = owns.iter().map(|own| own.room).collect();
        let latest = events::latest_positions(db, &rows).await?;
        let latest: HashMap<RoomRow, Position> = latest.into_iter().collect();
        let summaries = summaries::by_rows(db, &rows).await?;
        let mut summaries: HashMap<RoomRow, Summary> = summaries
            .into_iter()
            .map(|summary| (summary.room, summary))
            .collect();
        let metas = rooms.context.metas.by_rows(&rows).await?;
        let were_in = were_in(rooms, &owns).await?;
        let mut previews = previews(rooms, &owns).await?;
        let user = build.by.user_id.as_str();
        for (own, meta) in owns.into_iter().zip(metas) {
            let row = own.room;
            let shown = match own.membership {
                Membership::Join => Shown::Joined,
                Membership::Invite | Membership::Knock => Shown::Outside,
                Membership::Leave | Membership::Ban if were_in.contains(&own.event) => Shown::Left,
                // Who goes by themselves was there right before, or never.
                Membership::Leave if own.sender == user => Shown::Outside,
                Membership::Leave | Membership::Ban => {
                    let room = rooms.by_row(row).await?;
                    match room.access(build.by).await {
                        Ok(Access::Departed { .. }) => Shown::Left,
                        Ok(_) | Err(crate::Error::Forbidden(_)) => Shown::Outside,
                        Err(error) => return Err(error),
                    }
                }
            };
            let is_hidden = match own.membership {
                Membership::Invite => !build.shows_invite(&own).await?,
                // Whoever was banned without having been there hears nothing of it.
                Membership::Ban => shown == Shown::Outside,
                _ => false,
            };
            if is_hidden {
                self.rooms.remove(&row);
                continue;
            }
            let last = match shown {
                Shown::Joined => latest.get(&row).copied().unwrap_or(own.position),
                Shown::Left | Shown::Outside => own.position,
            };
            let known = self.rooms.get(&row);
            let tags = known.map(|known| known.tags.clone()).unwrap_or_default();
            let mut listed = Listed {
                id: meta.id.clone(),
                own,
                shown,
                forgotten: false,
                last,
                is_encrypted: false,
                room_type: None,
                name: String::new(),
                tags,
            };
            if let Some(preview) = previews.remove(&listed.own.event) {
                preview.describe(&mut listed);
            } else if let Some(summary) = summaries.remove(&row) {
                listed.describe(summary);
            }
            self.rooms.insert(row, listed);
        }
        Ok(())
    }

    /// Reads the tags of the rooms that were not in `before`. One query for 256 of them.
    async fn recall_tags(&mut self, build: &Build<'_>, before: &Self) -> Result<()> {
        let new = self.rooms.keys().copied();
        let new: Vec<RoomRow> = new.filter(|row| !before.rooms.contains_key(row)).collect();
        let db = build.rooms.context.store.reader();
        for data in account_data::of_rooms(db, &build.by.user_id, &new, TAG).await? {
            self.take_data(data.room(), &data.event_type, &data.content);
        }
        Ok(())
    }

    fn take_data(&mut self, room: Option<RoomRow>, event_type: &str, content: &str) {
        let content = || serde_json::from_str::<Value>(content).unwrap_or_default();
        match (room, event_type) {
            (None, DIRECT) => self.direct = direct_rooms(&content()),
            (Some(room), TAG) => {
                if let Some(listed) = self.rooms.get_mut(&room) {
                    let content = content();
                    let tags = content["tags"].as_object();
                    let tags = tags.into_iter().flat_map(|tags| tags.keys());
                    listed.tags = tags.cloned().collect();
                }
            }
            _ => {}
        }
    }

    /// Whether the user counts the room as a direct chat.
    pub(super) fn is_dm(&self, room: &RoomId) -> bool {
        self.direct.contains(room)
    }

    /// Whether a room passes the filters. `children`: the rooms in the spaces that the filters name.
    pub(super) fn passes(
        &self,
        listed: &Listed,
        filters: &ListFilters,
        children: &HashSet<OwnedRoomId>,
    ) -> bool {
        let is = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        let types = |types: &Vec<Option<String>>| types.contains(&listed.room_type);
        let tagged = |tags: &Vec<String>| tags.iter().any(|tag| listed.tags.contains(tag));
        is(filters.is_dm, self.is_dm(&listed.id))
            && is(filters.is_encrypted, listed.is_encrypted)
            && is(
                filters.is_invited,
                listed.own.membership == Membership::Invite,
            )
            && filters.room_types.as_ref().is_none_or(types)
            && !filters.not_room_types.as_ref().is_some_and(types)
            && filters.tags.as_ref().is_none_or(tagged)
            && !filters.not_tags.as_ref().is_some_and(tagged)
            && (filters.spaces.is_none() || children.contains(&listed.id))
            && filters
                .name_like
                .as_ref()
                .is_none_or(|part| listed.name.contains(&part.to_lowercase()))
    }
}

impl Listed {
    fn describe(&mut self, summary: Summary) {
        self.is_encrypted = summary.encryption.is_some();
        self.room_type = summary.room_type;
        self.name = summary.name.unwrap_or_default().to_lowercase();
    }
}

/// What another server has said of a room along with an invite or a knock.
#[derive(Default)]
struct Preview {
    is_encrypted: bool,
    room_type: Option<String>,
    name: String,
}

impl Preview {
    /// `None` for an invite of this server.
    fn of(own: &Event) -> Option<Self> {
        let mut preview = Self::default();
        for event in received_state(own)? {
            let text = |key: &str| event.get(key)?.as_str();
            let content = |key: &str| event.get("content")?.get(key)?.as_str();
            if text("state_key") != Some("") {
                continue;
            }
            let said = |key: &str| content(key).map(str::to_owned);
            match text("type") {
                Some("m.room.create") => preview.room_type = said("type"),
                Some("m.room.encryption") => preview.is_encrypted = true,
                Some("m.room.name") => {
                    preview.name = said("name").unwrap_or_default().to_lowercase();
                }
                _ => {}
            }
        }
        Some(preview)
    }

    fn describe(self, listed: &mut Listed) {
        listed.is_encrypted = self.is_encrypted;
        listed.room_type = self.room_type;
        listed.name = self.name;
    }
}

/// What other servers have said along with the invites and knocks among these, by event. One query for 256 of them.
async fn previews(rooms: &Rooms, owns: &[OwnMembership]) -> Result<HashMap<EventRow, Preview>> {
    let asks = owns
        .iter()
        .filter(|own| matches!(own.membership, Membership::Invite | Membership::Knock));
    let asks: Vec<EventRow> = asks.map(|own| own.event).collect();
    let context = &rooms.context;
    let asks = context.events.get_many(&context.metas, &asks).await?;
    let previews = asks
        .iter()
        .filter_map(|known| Some((known.row, Preview::of(&known.event)?)));
    Ok(previews.collect())
}

/// Of the member events by which the user is no longer in rooms, those before which they were. Two queries for 256 rooms.
async fn were_in(rooms: &Rooms, owns: &[OwnMembership]) -> Result<HashSet<EventRow>> {
    let (events, metas) = (&rooms.context.events, &rooms.context.metas);
    let gone = owns
        .iter()
        .filter(|own| matches!(own.membership, Membership::Leave | Membership::Ban));
    let gone: Vec<EventRow> = gone.map(|own| own.event).collect();
    let gone = events.get_many(metas, &gone).await?;
    let before: Vec<EventRow> = gone.iter().filter_map(|known| known.replaces).collect();
    let before = events.get_many(metas, &before).await?;
    let joins: HashSet<EventRow> = before
        .iter()
        .filter(|known| is_join(known))
        .map(|known| known.row)
        .collect();
    let was_in = |known: &&Arc<KnownEvent>| {
        is_join(known) || known.replaces.is_some_and(|row| joins.contains(&row))
    };
    Ok(gone.iter().filter(was_in).map(|known| known.row).collect())
}

/// The rooms of `m.direct`: lists of rooms by user.
fn direct_rooms(content: &Value) -> HashSet<OwnedRoomId> {
    let lists = content.as_object().into_iter().flat_map(|by| by.values());
    let rooms = lists.filter_map(Value::as_array).flatten();
    rooms
        .filter_map(|room| RoomId::parse(room.as_str()?).ok())
        .collect()
}
