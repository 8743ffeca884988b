//! Who is what in which room, as of the current state.

use std::collections::HashMap;

use ruma::{ServerName, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};

pub use crate::entity::membership::Membership;
use crate::{
    entity::{membership, room},
    error::Result,
    id::{EventRow, Position, RoomRow},
    padded::padded,
    page::Limit,
};

/// A membership as stored.
pub type Member = membership::Model;

/// What `user_id` is in `room`; `None` if never anything. One look-up by primary key.
pub async fn one(
    db: &impl ConnectionTrait,
    room: RoomRow,
    user_id: &UserId,
) -> Result<Option<Member>> {
    Ok(membership::Entity::find_by_id((room, user_id.to_string()))
        .one(db)
        .await?)
}

/// What `user_id` is in the first room that `creator` has made and the user has ever had to do with. One query, on the index
/// (user_id, membership): its cost grows with the rooms of the user.
pub async fn in_room_of(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    creator: &UserId,
) -> Result<Option<Member>> {
    let rooms = room::Entity::find()
        .select_only()
        .column(room::Column::Id)
        .filter(room::Column::Creator.eq(creator.as_str()));
    let found = membership::Entity::find()
        .filter(membership::Column::UserId.eq(user_id.as_str()))
        .filter(membership::Column::Room.in_subquery(rooms.into_query()))
        .order_by_asc(membership::Column::Room);
    Ok(found.one(db).await?)
}

/// All who are one of `which` in `room`, by user ID; empty `which` means everyone who ever was
/// anything. One query, on the primary key: its cost grows with the members of the room.
pub async fn of_room(
    db: &impl ConnectionTrait,
    room: RoomRow,
    which: &[Membership],
) -> Result<Vec<Member>> {
    let mut members = membership::Entity::find()
        .filter(membership::Column::Room.eq(room))
        .order_by_asc(membership::Column::UserId);
    if !which.is_empty() {
        members = members.filter(membership::Column::Membership.is_in(which.iter().copied()));
    }
    Ok(members.all(db).await?)
}

/// How many are what in `room`; what nobody is, is left out. One query, on the primary key.
pub async fn counts(db: &impl ConnectionTrait, room: RoomRow) -> Result<HashMap<Membership, u64>> {
    let counts = membership::Entity::find()
        .select_only()
        .column(membership::Column::Membership)
        .column_as(membership::Column::UserId.count(), "count")
        .filter(membership::Column::Room.eq(room))
        .group_by(membership::Column::Membership)
        .into_tuple::<(Membership, i64)>()
        .all(db)
        .await?;
    let natural = |(which, count)| (which, u64::try_from(count).unwrap_or_default());
    Ok(counts.into_iter().map(natural).collect())
}

/// Whether a user of `server` is joined to `room`. One look-up in the index (server, membership, room).
pub async fn is_server_joined(
    db: &impl ConnectionTrait,
    room: RoomRow,
    server: &ServerName,
) -> Result<bool> {
    let found = membership::Entity::find()
        .select_only()
        .column(membership::Column::Room)
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .filter(membership::Column::Server.eq(server.as_str()))
        .limit(1);
    Ok(found.into_tuple::<RoomRow>().one(db).await?.is_some())
}

/// The IDs of at most `limit` users of `server` who are joined to `room`, longest-standing first. One query, on the
/// primary key: its cost grows with the members of the room.
pub async fn joined_of_server(
    db: &impl ConnectionTrait,
    room: RoomRow,
    server: &ServerName,
    limit: Limit,
) -> Result<Vec<String>> {
    let joined = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .filter(membership::Column::Server.eq(server.as_str()))
        .order_by_asc(membership::Column::Position)
        .limit(limit.get());
    Ok(joined.into_tuple().all(db).await?)
}

/// The servers of all who are joined to `room`, by name. One query, on the primary key: its cost grows with the members of
/// the room.
pub async fn servers(db: &impl ConnectionTrait, room: RoomRow) -> Result<Vec<String>> {
    let servers = membership::Entity::find()
        .select_only()
        .column(membership::Column::Server)
        .distinct()
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .order_by_asc(membership::Column::Server);
    Ok(servers.into_tuple().all(db).await?)
}

/// The IDs of all users of `server` who ever were anything in `room`. One query, on the index (server, membership, room):
/// its cost grows with the rooms of the server's users.
pub async fn of_server(
    db: &impl ConnectionTrait,
    room: RoomRow,
    server: &ServerName,
) -> Result<Vec<String>> {
    let users = membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Room.eq(room));
    Ok(users.into_tuple().all(db).await?)
}

/// The membership events of all users of `server` who are or were something else in `room` than joined. One query, on the
/// index (server, membership, room).
pub async fn events_of_absent(
    db: &impl ConnectionTrait,
    room: RoomRow,
    server: &ServerName,
) -> Result<Vec<EventRow>> {
    use Membership::{Ban, Invite, Knock, Leave};
    let events = membership::Entity::find()
        .select_only()
        .column(membership::Column::Event)
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Membership.is_in([Invite, Knock, Leave, Ban]))
        .filter(membership::Column::Room.eq(room));
    Ok(events.into_tuple().all(db).await?)
}

/// The servers with users who are joined to `room`, and how many, in no order. One query, on the primary key: its cost
/// grows with the members of the room.
pub async fn servers_counted(
    db: &impl ConnectionTrait,
    room: RoomRow,
) -> Result<Vec<(String, u64)>> {
    let servers = membership::Entity::find()
        .select_only()
        .column(membership::Column::Server)
        .column_as(membership::Column::UserId.count(), "count")
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .group_by(membership::Column::Server)
        .into_tuple::<(String, i64)>()
        .all(db)
        .await?;
    let natural = |(server, count)| (server, u64::try_from(count).unwrap_or_default());
    Ok(servers.into_iter().map(natural).collect())
}

/// The rooms in which users of `server` are joined, in no order. One query, on the index (server, membership, room).
pub async fn rooms_of_server(
    db: &impl ConnectionTrait,
    server: &ServerName,
) -> Result<Vec<RoomRow>> {
    let rooms = membership::Entity::find()
        .select_only()
        .column(membership::Column::Room)
        .distinct()
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Membership.eq(Membership::Join));
    Ok(rooms.into_tuple().all(db).await?)
}

/// The rooms and member events by which users of `server` left or were removed after `after` (exclusive), in no order.
/// One query, on the index (server, membership, room): its cost grows with all rooms that they ever left.
pub async fn removals_of_server(
    db: &impl ConnectionTrait,
    server: &ServerName,
    after: Position,
) -> Result<Vec<(RoomRow, EventRow)>> {
    let removed = membership::Entity::find()
        .select_only()
        .column(membership::Column::Room)
        .column(membership::Column::Event)
        .filter(membership::Column::Server.eq(server.as_str()))
        .filter(membership::Column::Membership.is_in([Membership::Leave, Membership::Ban]))
        .filter(membership::Column::Position.gt(after));
    Ok(removed.into_tuple().all(db).await?)
}

/// At most `limit` users who are one of `which` in `room`, longest-standing first. One query, on the primary key: its cost
/// grows with the members of the room.
pub async fn first(
    db: &impl ConnectionTrait,
    room: RoomRow,
    which: &[Membership],
    limit: Limit,
) -> Result<Vec<Member>> {
    let first = membership::Entity::find()
        .filter(membership::Column::Room.eq(room))
        .filter(membership::Column::Membership.is_in(which.iter().copied()))
        .order_by_asc(membership::Column::Position)
        .limit(limit.get());
    Ok(first.all(db).await?)
}

/// All rooms in which `user_id` is one of `which`, forgotten ones left out, by room; empty `which`
/// means all. One query, on the index (user_id, membership).
pub async fn of_user(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    which: &[Membership],
) -> Result<Vec<Member>> {
    let mut rooms = membership::Entity::find()
        .filter(membership::Column::UserId.eq(user_id.as_str()))
        .filter(membership::Column::Forgotten.eq(false))
        .order_by_asc(membership::Column::Room);
    if !which.is_empty() {
        rooms = rooms.filter(membership::Column::Membership.is_in(which.iter().copied()));
    }
    Ok(rooms.all(db).await?)
}

/// What `user_id` is in those of `rooms` where they are anything, forgotten ones too, in no order. Look-ups by primary key,
/// 256 a query.
pub async fn of_user_among(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    rooms: &[RoomRow],
) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let these = membership::Entity::find()
            .filter(membership::Column::UserId.eq(user_id.as_str()))
            .filter(membership::Column::Room.is_in(chunk));
        found.extend(these.all(db).await?);
    }
    Ok(found)
}

/// Where what `user_id` is has changed after `from` (exclusive) up to `to` (inclusive), oldest
/// change first: what it is now. Forgotten ones are there.
///
/// One query, on the index (user_id, position).
pub async fn changed_of_user(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    from: Position,
    to: Position,
) -> Result<Vec<Member>> {
    let changed = membership::Entity::find()
        .filter(membership::Column::UserId.eq(user_id.as_str()))
        .filter(membership::Column::Position.gt(from))
        .filter(membership::Column::Position.lte(to))
        .order_by_asc(membership::Column::Position);
    Ok(changed.all(db).await?)
}

/// The rooms that these users are joined to, each with the user, in no order. 256 users a query, on the index
/// (user_id, membership).
pub async fn joined_of_users(
    db: &impl ConnectionTrait,
    users: &[&UserId],
) -> Result<Vec<(String, RoomRow)>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let mut found = Vec::new();
    for chunk in padded(&users) {
        found.extend(
            joins_of(chunk)
                .into_tuple::<(String, RoomRow)>()
                .all(db)
                .await?,
        );
    }
    Ok(found)
}

/// The rooms that these users are joined to: user and room.
fn joins_of(users: Vec<&str>) -> Select<membership::Entity> {
    membership::Entity::find()
        .select_only()
        .column(membership::Column::UserId)
        .column(membership::Column::Room)
        .filter(membership::Column::UserId.is_in(users))
        .filter(membership::Column::Membership.eq(Membership::Join))
}

/// Which of these users are joined to a room by an event after `from` (exclusive) up to `to` (inclusive), each with the room, in
/// no order: who came in, or has changed how they are shown there. 256 users a query, on the index (user_id, position).
pub async fn joined_since(
    db: &impl ConnectionTrait,
    users: &[&UserId],
    from: Position,
    to: Position,
) -> Result<Vec<(String, RoomRow)>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let mut found = Vec::new();
    for chunk in padded(&users) {
        let since = joins_of(chunk)
            .filter(membership::Column::Position.gt(from))
            .filter(membership::Column::Position.lte(to));
        found.extend(since.into_tuple::<(String, RoomRow)>().all(db).await?);
    }
    Ok(found)
}

/// All rooms that `a` and `b` are both joined to, by room. One query, on the index
/// (user_id, membership).
pub async fn shared_rooms(
    db: &impl ConnectionTrait,
    a: &UserId,
    b: &UserId,
) -> Result<Vec<RoomRow>> {
    let of_b = QueryTrait::into_query(
        membership::Entity::find()
            .select_only()
            .column(membership::Column::Room)
            .filter(membership::Column::UserId.eq(b.as_str()))
            .filter(membership::Column::Membership.eq(Membership::Join)),
    );
    let shared = membership::Entity::find()
        .select_only()
        .column(membership::Column::Room)
        .filter(membership::Column::UserId.eq(a.as_str()))
        .filter(membership::Column::Membership.eq(Membership::Join))
        .filter(membership::Column::Room.in_subquery(of_b))
        .order_by_asc(membership::Column::Room);
    Ok(shared.into_tuple().all(db).await?)
}

/// What `user_id` is in those of `rooms` where they are anything, in no order. Look-ups by primary key, 256 a query.
pub async fn of_user_in(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    rooms: &[RoomRow],
) -> Result<Vec<(RoomRow, Membership)>> {
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let these = membership::Entity::find()
            .select_only()
            .columns([membership::Column::Room, membership::Column::Membership])
            .filter(membership::Column::UserId.eq(user_id.as_str()))
            .filter(membership::Column::Room.is_in(chunk));
        found.extend(these.into_tuple::<(RoomRow, Membership)>().all(db).await?);
    }
    Ok(found)
}

/// In which of `rooms` somebody of `server` is joined or invited, each pair once, in no order. Look-ups in the index
/// (server, membership, room), 256 rooms a query.
pub async fn of_server_in(
    db: &impl ConnectionTrait,
    server: &ServerName,
    rooms: &[RoomRow],
) -> Result<Vec<(RoomRow, Membership)>> {
    let present = [Membership::Join, Membership::Invite];
    let mut found = Vec::new();
    for chunk in padded(rooms) {
        let these = membership::Entity::find()
            .select_only()
            .columns([membership::Column::Room, membership::Column::Membership])
            .distinct()
            .filter(membership::Column::Server.eq(server.as_str()))
            .filter(membership::Column::Membership.is_in(present))
            .filter(membership::Column::Room.is_in(chunk));
        found.extend(these.into_tuple::<(RoomRow, Membership)>().all(db).await?);
    }
    Ok(found)
}
