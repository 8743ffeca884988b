//! Which rooms a request wants, and how: MSC4186, "Lists and subscriptions".

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use ruma::OwnedRoomId;
use storage::{RoomRow, members::Membership};

use super::{
    Slide,
    answer::ListAnswer,
    ask::{ListFilters, RoomConfig},
    connection::Shown,
    listing::{Listed, Listing},
};
use crate::Result;

/// A room that is wanted.
pub(super) struct Wanted {
    /// The lists in whose windows it is.
    pub(super) lists: Vec<String>,
    pub(super) is_subscribed: bool,
    /// What all of these want of it.
    pub(super) config: Arc<RoomConfig>,
}

/// What a request wants.
#[derive(Default)]
pub(super) struct Windows {
    pub(super) rooms: BTreeMap<RoomRow, Wanted>,
    pub(super) lists: BTreeMap<String, ListAnswer>,
}

impl Slide<'_> {
    /// The rooms in the windows of all lists, and those that are subscribed to and are for the user to see.
    pub(super) async fn windows(&self, listing: &Listing) -> Result<Windows> {
        let by = &self.build.by.user_id;
        let mut order: Vec<(RoomRow, &Listed)> = listing
            .rooms
            .iter()
            .filter(|(row, listed)| self.opened.sent.contains_key(*row) || !listed.is_left(by))
            .map(|(row, listed)| (*row, listed))
            .collect();
        order.sort_by_key(|(row, listed)| std::cmp::Reverse((listed.last, *row)));
        let mut rules: BTreeMap<RoomRow, (Vec<&str>, bool)> = BTreeMap::new();
        let mut answers = BTreeMap::new();
        for (name, list) in &self.ask.lists {
            let children = self.children(&list.filters, listing).await?;
            let passing: Vec<RoomRow> = order
                .iter()
                .filter(|(_, listed)| listing.passes(listed, &list.filters, &children))
                .map(|(row, _)| *row)
                .collect();
            let ranges = list.ranges.iter().flatten().filter(|_| self.ask.places);
            let at = |(first, last): &(u64, u64)| {
                let first = usize::try_from(*first).unwrap_or(usize::MAX);
                let last = usize::try_from(*last).unwrap_or(usize::MAX);
                let rows = passing.iter().skip(first);
                let rows = rows.take(last.saturating_sub(first).saturating_add(1));
                rows.map(|row| listing.rooms[row].id.clone()).collect()
            };
            let answer = ListAnswer {
                count: passing.len(),
                ranges: ranges.map(|range| (*range, at(range))).collect(),
            };
            answers.insert(name.clone(), answer);
            for (place, row) in passing.into_iter().enumerate() {
                let place = place as u64;
                let inside = |ranges: &Vec<(u64, u64)>| {
                    ranges
                        .iter()
                        .any(|(first, last)| (*first..=*last).contains(&place))
                };
                if list.ranges.as_ref().is_none_or(inside) {
                    rules.entry(row).or_default().0.push(name);
                }
            }
        }
        let ids: Vec<OwnedRoomId> = self.ask.subscriptions.keys().cloned().collect();
        for meta in self.build.rooms.context.metas.by_ids(&ids).await? {
            let is_visible = |listed: &Listed| {
                listed.shown == Shown::Joined
                    || matches!(
                        listed.own.membership,
                        Membership::Invite | Membership::Knock
                    )
                    || self.opened.sent.contains_key(&meta.row)
            };
            if listing.rooms.get(&meta.row).is_some_and(is_visible) {
                rules.entry(meta.row).or_default().1 = true;
            }
        }
        // Many rooms are wanted in few ways.
        let mut configs: HashMap<Vec<&str>, Arc<RoomConfig>> = HashMap::new();
        let mut rooms = BTreeMap::new();
        for (row, (lists, is_subscribed)) in rules {
            let of_lists = || {
                let mut config = RoomConfig::default();
                for name in &lists {
                    config.add(&self.ask.lists[*name].config);
                }
                Arc::new(config)
            };
            let mut config = configs
                .entry(lists.clone())
                .or_insert_with(of_lists)
                .clone();
            if is_subscribed
                && let Some(wanted) = self.ask.subscriptions.get(&listing.rooms[&row].id)
            {
                let mut both = (*config).clone();
                both.add(wanted);
                config = Arc::new(both);
            }
            let lists = lists.into_iter().map(str::to_owned).collect();
            rooms.insert(
                row,
                Wanted {
                    lists,
                    is_subscribed,
                    config,
                },
            );
        }
        Ok(Windows {
            rooms,
            lists: answers,
        })
    }

    /// The children of those spaces of the filter that the user is in.
    async fn children(
        &self,
        filters: &ListFilters,
        listing: &Listing,
    ) -> Result<HashSet<OwnedRoomId>> {
        let mut children = HashSet::new();
        let spaces = filters.spaces.as_deref().unwrap_or_default();
        for meta in self.build.rooms.context.metas.by_ids(spaces).await? {
            let listed = listing.rooms.get(&meta.row);
            if listed.is_some_and(|listed| listed.shown == Shown::Joined) {
                let room = self.build.rooms.by_row(meta.row).await?;
                children.extend(room.child_rooms().await?);
            }
        }
        Ok(children)
    }
}
