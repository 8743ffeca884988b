//! Guests who are where guests may not be.

use ruma::OwnedUserId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait as _,
};

use crate::{
    Limit,
    entity::{account, membership, summary},
    error::Result,
    id::RoomRow,
    members::Membership,
};

/// Guests of this server who are joined to rooms that guests may not join (any more): those of one room, or of all. By room,
/// at most `limit`. One query; for one room its cost grows with the members of the room.
pub async fn misplaced(
    db: &impl ConnectionTrait,
    room: Option<RoomRow>,
    limit: Limit,
) -> Result<Vec<(RoomRow, OwnedUserId)>> {
    let guests = account::Entity::find()
        .select_only()
        .column(account::Column::UserId)
        .filter(account::Column::Guest.eq(true))
        .into_query();
    let open = summary::Entity::find()
        .select_only()
        .column(summary::Column::Room)
        .filter(summary::Column::GuestCanJoin.eq(true))
        .into_query();
    let mut found = membership::Entity::find()
        .filter(membership::Column::Membership.eq(Membership::Join))
        .filter(membership::Column::UserId.in_subquery(guests))
        .filter(membership::Column::Room.not_in_subquery(open))
        .order_by_asc(membership::Column::Room)
        .limit(limit.get());
    if let Some(room) = room {
        found = found.filter(membership::Column::Room.eq(room));
    }
    let found = found.all(db).await?.into_iter();
    Ok(found
        .filter_map(|member| Some((member.room, OwnedUserId::try_from(member.user_id).ok()?)))
        .collect())
}
