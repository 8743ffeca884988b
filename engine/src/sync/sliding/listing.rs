//! The rooms of a user with what lists filter and sort by, kept up to date by the log.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::Value;
use storage::{
    EventRow, Logged, Position, RoomRow, account_data, events,
    members::{self, Membership},
    summaries::{self, Summary},
    write::NewMembership,
};

use super::{ask::ListFilters, connection::Shown};
use crate::{
    Result,
    events::KnownEvent,
    notifier::Glance,
    read::access::{Access, is_join},
    rooms::Rooms,
    sync::{Build, changes::OwnMembership},
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
        self.own.membership == Membership::Leave && self.own.sender == *by
    }
}

/// The listings of those who lately used sliding sync.
pub(crate) struct Listings(Cache<OwnedUserId, Listing, ByRooms>);

#[derive(Clone)]
struct ByRooms;

impl Weighter<OwnedUserId, Listing> for ByRooms {
    fn weight(&self, _: &OwnedUserId, listing: &Listing) -> u64 {
        listing.rooms.len() as u64 + 4
    }
}

impl Listings {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(1_024, ROOMS_MAX, ByRooms))
    }

    /// The rooms of the user at a glance. No query if nothing but messages came since the last time.
    pub(super) async fn of(&self, build: &Build<'_>, glance: &Glance) -> Result<Listing> {
        let user = &build.by.user_id;
        let current = match self.0.get(user) {
            Some(known) if known.at >= glance.position => known,
            Some(known) => match known.brought_forward(build, glance).await? {
                Some(current) => current,
                None => Listing::read(build, glance.position).await?,
            },
            None => Listing::read(build, glance.position).await?,
        };
        self.0.insert(user.clone(), current.clone());
        Ok(current)
    }
}

impl Listing {
    /// Reads all of it: a bounded number of queries for 256 rooms, but for bans and kicks that followed each other.
    async fn read(build: &Build<'_>, at: Position) -> Result<Self> {
        let db = build.rooms.context.store.reader();
        let user = &build.by.user_id;
        let owns = members::of_user(db, user, &[]).await?;
        let owns = owns.into_iter().map(OwnMembership::from).collect();
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
            match logged.as_ref() {
                Logged::Event(new) => {
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
                Logged::AccountData(new) => {
                    listing.take_data(new.room, &new.event_type, &new.content);
                }
                _ => {}
            }
        }
        let owns = owns.into_values().collect();
        listing.take_in(build.rooms, build, owns).await?;
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
                last,
                is_encrypted: false,
                room_type: None,
                name: String::new(),
                tags,
            };
            if let Some(summary) = summaries.remove(&row) {
                listed.describe(summary);
            }
            self.rooms.insert(row, listed);
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
