//! What rooms show of themselves, and how many are in them.
//!
//! The number follows from the memberships of the batch and those that are stored, so it is right whichever way a
//! membership came. It costs a look-up for each membership that is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait},
};

use super::{
    prepared::Prepared,
    rows::{Existing, insert, update, values},
};
use crate::{
    entity::{
        membership::{self, Membership},
        summary,
    },
    error::Result,
    id::RoomRow,
    padded::padded,
    write::NewSummary,
};

/// Writes the summaries of new rooms and of those that show something else now, and counts who is joined. To be called
/// while the memberships of the batch are not written yet.
pub(super) async fn apply(db: &impl ConnectionTrait, writes: &[&mut Prepared]) -> Result<Before> {
    let new: BTreeMap<RoomRow, bool> = all(writes, |write| &write.listed).copied().collect();
    // What a room shows in the end is all that matters.
    let mut shown: BTreeMap<RoomRow, &NewSummary> = all(writes, |write| &write.summaries)
        .map(|summary| (summary.room, summary))
        .collect();
    let before = Before {
        joined: joined_before(db, writes, &new).await?,
        turned: turned(db, &shown, &new).await?,
    };
    let mut joined = joined(writes, &before);
    let rows = new.iter().map(|(room, published)| {
        let model = summary::Model {
            published: *published,
            joined: joined.remove(room).unwrap_or_default(),
            ..blank(*room, shown.remove(room))
        };
        values(&model)
    });
    insert::<summary::Entity>(db, Existing::Conflicts, rows.collect()).await?;
    for summary in shown.into_values() {
        update(db, changed(summary)).await?;
    }
    for (room, more) in joined.into_iter().filter(|(_, more)| *more != 0) {
        let count = Expr::col(summary::Column::Joined).add(more);
        summary::Entity::update_many()
            .col_expr(summary::Column::Joined, count)
            .filter(summary::Column::Room.eq(room))
            .exec(db)
            .await?;
    }
    Ok(before)
}

/// What was so before the batch, and is different after it.
pub(super) struct Before {
    /// Those whose membership the batch changes, as far as they were joined.
    pub(super) joined: HashSet<(RoomRow, String)>,
    /// The rooms that are open to everybody only before or only after it.
    pub(super) turned: Vec<RoomRow>,
}

async fn turned(
    db: &impl ConnectionTrait,
    shown: &BTreeMap<RoomRow, &NewSummary>,
    new: &BTreeMap<RoomRow, bool>,
) -> Result<Vec<RoomRow>> {
    let rooms: Vec<RoomRow> = shown.keys().copied().collect();
    let rooms: Vec<RoomRow> = rooms
        .into_iter()
        .filter(|room| !new.contains_key(room))
        .collect();
    let mut turned = Vec::new();
    for stored in crate::summaries::by_rows(db, &rooms).await? {
        let was = stored.join_rule == "public" || stored.world_readable;
        let is = shown.get(&stored.room);
        let is = is.is_some_and(|now| now.join_rule == "public" || now.world_readable);
        if was != is {
            turned.push(stored.room);
        }
    }
    Ok(turned)
}

fn all<'a, T: 'a>(
    writes: &'a [&mut Prepared],
    part: impl Fn(&'a Prepared) -> &'a [T],
) -> impl Iterator<Item = &'a T> {
    writes.iter().flat_map(move |write| part(write))
}

/// By how many the rooms of the batch grow; negative where they shrink.
fn joined(writes: &[&mut Prepared], before: &Before) -> BTreeMap<RoomRow, i64> {
    let mut joined = BTreeMap::new();
    for (room, users) in members(writes) {
        let now = users.values().filter(|now| **now == Membership::Join);
        let now = i64::try_from(now.count()).expect("a batch is small");
        *joined.entry(room).or_default() += now;
    }
    for (room, _) in &before.joined {
        *joined.entry(*room).or_default() -= 1;
    }
    joined
}

/// What the users of the batch become in its rooms in the end.
fn members<'a>(writes: &'a [&mut Prepared]) -> HashMap<RoomRow, HashMap<&'a str, Membership>> {
    let mut rooms: HashMap<RoomRow, HashMap<&str, Membership>> = HashMap::new();
    for (_, row) in all(writes, |write| &write.memberships) {
        let room = rooms.entry(row.room).or_default();
        room.insert(&row.user_id, row.membership);
    }
    rooms
}

/// Who of the users of the batch is joined by what is stored.
async fn joined_before(
    db: &impl ConnectionTrait,
    writes: &[&mut Prepared],
    new: &BTreeMap<RoomRow, bool>,
) -> Result<HashSet<(RoomRow, String)>> {
    let mut before = HashSet::new();
    for (room, users) in members(writes) {
        if new.contains_key(&room) {
            continue;
        }
        let users: Vec<&str> = users.into_keys().collect();
        for users in padded(&users) {
            let joined = membership::Entity::find()
                .select_only()
                .column(membership::Column::UserId)
                .filter(membership::Column::Room.eq(room))
                .filter(membership::Column::UserId.is_in(users))
                .filter(membership::Column::Membership.eq(Membership::Join));
            let joined = joined.into_tuple::<String>().all(db).await?;
            before.extend(joined.into_iter().map(|user| (room, user)));
        }
    }
    Ok(before)
}

/// The summary of a new room.
fn blank(room: RoomRow, shown: Option<&NewSummary>) -> summary::Model {
    let shown = shown.cloned().unwrap_or_else(|| NewSummary::blank(room));
    summary::Model {
        room,
        published: false,
        listed_before: false,
        joined: 0,
        name: shown.name,
        topic: shown.topic,
        avatar_url: shown.avatar_url,
        canonical_alias: shown.canonical_alias,
        join_rule: shown.join_rule,
        allowed_rooms: shown.allowed_rooms,
        room_type: shown.room_type,
        encryption: shown.encryption,
        world_readable: shown.world_readable,
        guest_can_join: shown.guest_can_join,
        federated: shown.federated,
        min_lifetime: shown.lifetime.min_ms,
        max_lifetime: shown.lifetime.max_ms,
        search: shown.search,
    }
}

fn changed(shown: &NewSummary) -> summary::ActiveModel {
    let shown = shown.clone();
    summary::ActiveModel {
        room: Unchanged(shown.room),
        name: Set(shown.name),
        topic: Set(shown.topic),
        avatar_url: Set(shown.avatar_url),
        canonical_alias: Set(shown.canonical_alias),
        join_rule: Set(shown.join_rule),
        allowed_rooms: Set(shown.allowed_rooms),
        room_type: Set(shown.room_type),
        encryption: Set(shown.encryption),
        world_readable: Set(shown.world_readable),
        guest_can_join: Set(shown.guest_can_join),
        federated: Set(shown.federated),
        min_lifetime: Set(shown.lifetime.min_ms),
        max_lifetime: Set(shown.lifetime.max_ms),
        search: Set(shown.search),
        ..Default::default()
    }
}
