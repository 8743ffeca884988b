//! What is wanted besides the rooms: account data, receipts, typing, threads. MSC4186, "Extensions"; MSC3959, MSC3960, MSC3961,
//! MSC4308.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedRoomId;
use serde_json::json;
use storage::{
    Position, RoomRow, account_data,
    receipts::{self, StoredReceipt},
};

use super::{
    Slide,
    answer::{AccountDataAnswer, ExtensionsAnswer, RoomAnswer},
    ask::Scope,
    connection::Shown,
    listing::Listing,
    windows::{Wanted, Windows},
};
use crate::{
    Result,
    account_data::is_deleted,
    sync::{
        account_data::{self as data, Datum},
        changes::Changes,
        ephemeral::{self, Receipt},
    },
};

/// The event IDs of a timeline, and little else.
#[derive(serde::Deserialize)]
struct Identified {
    event_id: String,
}

impl Slide<'_> {
    pub(super) async fn extensions(
        &self,
        listing: &Listing,
        windows: &Windows,
        changes: &Changes,
        rooms: &BTreeMap<OwnedRoomId, RoomAnswer>,
    ) -> Result<ExtensionsAnswer> {
        let asked = &self.ask.extensions;
        let mut answer = ExtensionsAnswer::default();
        if let Some(scope) = &asked.account_data {
            let inside = Self::inside(scope, listing, windows);
            answer.account_data = self.account_data(listing, &inside, changes).await?;
        }
        if let Some(scope) = &asked.receipts {
            let inside = Self::inside(scope, listing, windows);
            answer.receipts = self.receipts(listing, &inside, changes, rooms).await?;
        }
        if let Some(scope) = &asked.typing {
            for row in Self::inside(scope, listing, windows) {
                let is_new = self.known_upto(row, listing, changes) == Some(Position::MIN);
                let typing = &self.build.rooms.context.typing;
                let changed = changes.rooms.get(&row).is_some_and(|change| change.typing);
                let is_joined = listing.rooms[&row].shown == Shown::Joined;
                if !is_joined || !(changed || is_new && !typing.users(row).is_empty()) {
                    continue;
                }
                let event = ephemeral::raw("m.typing", &json!({ "user_ids": typing.users(row) }))?;
                answer.typing.insert(listing.rooms[&row].id.clone(), event);
            }
        }
        if let Some(limit) = asked.thread_subscriptions {
            let build = &self.build;
            let context = &build.rooms.context;
            let since = build.from.map_or(Position::MIN, |from| from.position);
            let changed = (since, build.to.position);
            let found = context.thread_subscriptions(&build.by.user_id, changed, limit);
            answer.thread_subscriptions = found.await?;
        }
        Ok(answer)
    }

    /// The wanted rooms that an extension speaks of.
    fn inside(scope: &Scope, listing: &Listing, windows: &Windows) -> Vec<RoomRow> {
        let subscribed = |wanted: &Wanted, row: &RoomRow| {
            let rooms = scope.rooms.as_ref();
            wanted.is_subscribed && rooms.is_none_or(|rooms| rooms.contains(&listing.rooms[row].id))
        };
        let listed = |wanted: &Wanted| {
            let lists = scope.lists.as_ref();
            wanted
                .lists
                .iter()
                .any(|list| lists.is_none_or(|lists| lists.contains(list)))
        };
        windows
            .rooms
            .iter()
            .filter(|(row, wanted)| listed(wanted) || subscribed(wanted, row))
            .map(|(row, _)| *row)
            .collect()
    }

    /// Up to where the client has what belongs to a room: `None`, up to the place of its token. Of one that the user has come
    /// into it has nothing, though it was shown before.
    fn known_upto(&self, row: RoomRow, listing: &Listing, changes: &Changes) -> Option<Position> {
        let change = changes.rooms.get(&row);
        let entered = change.is_some_and(|change| change.entered);
        let is_joined = listing.rooms[&row].shown == Shown::Joined;
        let known = self.opened.sent.get(&row);
        let known = known.filter(|known| !is_joined || (known.shown == Shown::Joined && !entered));
        match known {
            Some(known) => known.upto,
            None => Some(Position::MIN),
        }
    }

    async fn account_data(
        &self,
        listing: &Listing,
        inside: &[RoomRow],
        changes: &Changes,
    ) -> Result<AccountDataAnswer> {
        let mut answer = AccountDataAnswer::default();
        let changed = self.build.from.map(|_| changes.account_data.clone());
        answer.global = self.build.global_account_data(changed).await?;
        let mut by_room: BTreeMap<RoomRow, Vec<Datum>> = BTreeMap::new();
        let behind: BTreeMap<RoomRow, Position> = self.behind(inside, listing, changes);
        if let Some(earliest) = behind.values().min() {
            let db = self.build.rooms.context.store.reader();
            let (by, to) = (&self.build.by.user_id, self.build.to.position);
            for stored in account_data::since(db, by, *earliest, to).await? {
                if let Some(room) = stored.room()
                    && behind
                        .get(&room)
                        .is_some_and(|upto| stored.position > *upto)
                    // What was taken away is news only to who had it.
                    && !(behind[&room] == Position::MIN && is_deleted(&stored.content))
                {
                    by_room.entry(room).or_default().push(Datum::from(&stored));
                }
            }
        }
        for row in inside.iter().filter(|row| !behind.contains_key(row)) {
            if let Some(change) = changes.rooms.get(row)
                && !change.account_data.is_empty()
            {
                by_room.insert(*row, change.account_data.clone());
            }
        }
        for (row, data) in by_room {
            let data = data::newest(data);
            let data = data.iter().map(data::raw).collect::<Result<_>>()?;
            answer.rooms.insert(listing.rooms[&row].id.clone(), data);
        }
        Ok(answer)
    }

    /// Receipts. Of a room that is new to the client, the user's own and those of events that come with it.
    async fn receipts(
        &self,
        listing: &Listing,
        inside: &[RoomRow],
        changes: &Changes,
        rooms: &BTreeMap<OwnedRoomId, RoomAnswer>,
    ) -> Result<BTreeMap<OwnedRoomId, ruma::serde::Raw<ruma::events::AnySyncEphemeralRoomEvent>>>
    {
        let joined = |row: &RoomRow| listing.rooms[row].shown == Shown::Joined;
        let inside: Vec<RoomRow> = inside.iter().copied().filter(joined).collect();
        let behind = self.behind(&inside, listing, changes);
        let (new, missed): (Vec<_>, Vec<_>) =
            behind.iter().partition(|(_, upto)| **upto == Position::MIN);
        let new: BTreeSet<RoomRow> = new.into_iter().map(|(row, _)| *row).collect();
        let mut found = self.first_receipts(listing, &new, rooms).await?;
        if let Some(earliest) = missed.iter().map(|(_, upto)| **upto).min() {
            let missed: Vec<RoomRow> = missed.iter().map(|(row, _)| **row).collect();
            let db = self.build.rooms.context.store.reader();
            let stored = receipts::since(db, &missed, earliest, self.build.to.position).await?;
            let is_news = |stored: &StoredReceipt| stored.position > behind[&stored.room];
            found.extend(stored.into_iter().filter(is_news));
        }
        let mut by_room: BTreeMap<RoomRow, Vec<Receipt>> = BTreeMap::new();
        for stored in found {
            let receipts = by_room.entry(stored.room).or_default();
            receipts.push(Receipt::from(&stored));
        }
        for row in inside.iter().filter(|row| !behind.contains_key(row)) {
            if let Some(change) = changes.rooms.get(row) {
                by_room.insert(*row, change.receipts.clone());
            }
        }
        let mut answer = BTreeMap::new();
        for (row, receipts) in by_room {
            if let Some(content) = self.build.receipts(&receipts) {
                let event = ephemeral::raw("m.receipt", &content)?;
                answer.insert(listing.rooms[&row].id.clone(), event);
            }
        }
        Ok(answer)
    }

    /// The receipts of rooms that are new to the client: the user's own and those of the events that come with the room, by
    /// position. Two queries at most for 256 rooms, and as many for 256 events.
    async fn first_receipts(
        &self,
        listing: &Listing,
        new: &BTreeSet<RoomRow>,
        rooms: &BTreeMap<OwnedRoomId, RoomAnswer>,
    ) -> Result<Vec<StoredReceipt>> {
        let rows: Vec<RoomRow> = new.iter().copied().collect();
        let shown = rows
            .iter()
            .filter_map(|row| rooms.get(&listing.rooms[row].id));
        let events: Vec<String> = shown.flat_map(event_ids).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let (db, user) = (
            self.build.rooms.context.store.reader(),
            &self.build.by.user_id,
        );
        let own = receipts::of_user_in(db, &rows, user).await?;
        let others = receipts::of_events(db, &events).await?;
        let others = others
            .into_iter()
            .filter(|stored| stored.user_id != user.as_str());
        let mut found: Vec<StoredReceipt> = own.into_iter().chain(others).collect();
        let to = self.build.to.position;
        found.retain(|stored| stored.position <= to && new.contains(&stored.room));
        found.sort_by_key(|stored| stored.position);
        Ok(found)
    }

    /// Those of the rooms of which the client does not have everything up to the place of its token.
    fn behind(
        &self,
        inside: &[RoomRow],
        listing: &Listing,
        changes: &Changes,
    ) -> BTreeMap<RoomRow, Position> {
        let behind = inside
            .iter()
            .filter_map(|row| Some((*row, self.known_upto(*row, listing, changes)?)));
        behind.collect()
    }
}

/// The events in the timeline of a room.
fn event_ids(room: &RoomAnswer) -> impl Iterator<Item = String> {
    let events = room.timeline.iter();
    events
        .filter_map(|event| event.deserialize_as_unchecked::<Identified>().ok())
        .map(|event| event.event_id)
}
