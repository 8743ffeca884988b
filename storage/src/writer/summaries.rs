//! What rooms show of themselves, and how many are in them.
//!
//! The number follows from the memberships of the batch and those that are stored, so it is right whichever way a
//! membership came. It costs a look-up for each membership that is written.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
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
pub(super) async fn apply(db: &impl ConnectionTrait, writes: &[&mut Prepared]) -> Result<()> {
    let new: BTreeMap<RoomRow, bool> = all(writes, |write| &write.listed).copied().collect();
    // What a room shows in the end is all that matters.
    let mut shown: BTreeMap<RoomRow, &NewSummary> = all(writes, |write| &write.summaries)
        .map(|summary| (summary.room, summary))
        .collect();
    let mut joined = joined(db, writes, &new).await?;
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
    Ok(())
}

fn all<'a, T: 'a>(
    writes: &'a [&mut Prepared],
    part: impl Fn(&'a Prepared) -> &'a [T],
) -> impl Iterator<Item = &'a T> {
    writes.iter().flat_map(move |write| part(write))
}

/// By how many the rooms of the batch grow; negative where they shrink.
async fn joined(
    db: &impl ConnectionTrait,
    writes: &[&mut Prepared],
    new: &BTreeMap<RoomRow, bool>,
) -> Result<BTreeMap<RoomRow, i64>> {
    let mut users: HashMap<RoomRow, HashMap<&str, Membership>> = HashMap::new();
    for (_, row) in all(writes, |write| &write.memberships) {
        let room = users.entry(row.room).or_default();
        room.insert(&row.user_id, row.membership);
    }
    let mut joined = BTreeMap::new();
    for (room, users) in users {
        let now = users.values().filter(|now| **now == Membership::Join);
        let mut more = i64::try_from(now.count()).expect("a batch is small");
        if !new.contains_key(&room) {
            let users: Vec<&str> = users.into_keys().collect();
            more -= before(db, room, &users).await?;
        }
        joined.insert(room, more);
    }
    Ok(joined)
}

/// How many of these users are joined by what is stored.
async fn before(db: &impl ConnectionTrait, room: RoomRow, users: &[&str]) -> Result<i64> {
    let mut count = 0;
    for users in padded(users) {
        count += membership::Entity::find()
            .filter(membership::Column::Room.eq(room))
            .filter(membership::Column::UserId.is_in(users))
            .filter(membership::Column::Membership.eq(Membership::Join))
            .count(db)
            .await?;
    }
    Ok(i64::try_from(count).expect("a batch is small"))
}

/// The summary of a new room.
fn blank(room: RoomRow, shown: Option<&NewSummary>) -> summary::Model {
    let shown = shown.cloned().unwrap_or_else(|| NewSummary::blank(room));
    summary::Model {
        room,
        published: false,
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
        search: Set(shown.search),
        ..Default::default()
    }
}
