//! Pushers: where users want to be told of what happens.

use std::collections::BTreeSet;

use ruma::UserId;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Query},
};

use crate::{
    entity::{
        membership,
        pusher::{ActiveModel, Column, Entity, Model},
    },
    error::Result,
    id::RoomRow,
    members::Membership,
    padded::padded,
    write::Plain,
};

/// A pusher as stored.
pub type Pusher = Model;

/// The pushers of a user, by app and key. One query, on the primary key.
pub async fn of_user(db: &impl ConnectionTrait, user: &UserId) -> Result<Vec<Pusher>> {
    let pushers = Entity::find().filter(Column::UserId.eq(user.as_str()));
    let pushers = pushers.order_by_asc(Column::AppId);
    Ok(pushers.order_by_asc(Column::Pushkey).all(db).await?)
}

/// All users who have any, in no order. One query: its cost grows with all pushers.
pub async fn users(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let users = Entity::find().select_only().column(Column::UserId);
    Ok(users.distinct().into_tuple().all(db).await?)
}

/// The users with a pusher that is to be looked at by `now_ts`, in ms, whether or not anything happens; or only after
/// `ahead_max`, which nobody ever meant. One query: its cost grows with all pushers.
pub async fn due(db: &impl ConnectionTrait, now_ts: i64, ahead_max: i64) -> Result<Vec<String>> {
    let users = Entity::find()
        .select_only()
        .column(Column::UserId)
        .distinct();
    let users = users.filter(Column::RetryTs.gt(0));
    let late = Column::RetryTs.gt(now_ts.saturating_add(ahead_max));
    let users = users.filter(Column::RetryTs.lte(now_ts).or(late));
    Ok(users.into_tuple().all(db).await?)
}

/// The users who are joined to one of `rooms` and have any, each once, in no order. A query for 256 rooms, on the primary
/// keys: its cost grows with all pushers or the members of the rooms.
pub async fn users_in(
    db: &impl ConnectionTrait,
    rooms: &BTreeSet<RoomRow>,
) -> Result<BTreeSet<String>> {
    let rooms: Vec<RoomRow> = rooms.iter().copied().collect();
    let mut users = BTreeSet::new();
    for chunk in padded(&rooms) {
        let mut with = Query::select();
        with.column(Column::UserId).from(Entity);
        let joined = membership::Entity::find()
            .select_only()
            .column(membership::Column::UserId)
            .filter(membership::Column::Room.is_in(chunk))
            .filter(membership::Column::Membership.eq(Membership::Join))
            .filter(Expr::col(membership::Column::UserId).in_subquery(with));
        users.extend(joined.into_tuple::<String>().all(db).await?);
    }
    Ok(users)
}

/// Writes down up to where a pusher was told, and whether it can be. Nothing happens if it is gone.
#[must_use]
pub fn stands(pusher: &Pusher) -> Plain {
    Plain::PusherUpdate(Box::new(ActiveModel {
        user_id: Unchanged(pusher.user_id.clone()),
        app_id: Unchanged(pusher.app_id.clone()),
        pushkey: Unchanged(pusher.pushkey.clone()),
        done: Set(pusher.done),
        badge: Set(pusher.badge),
        failures: Set(pusher.failures),
        failing_ts: Set(pusher.failing_ts),
        retry_ts: Set(pusher.retry_ts),
        mailed: Set(pusher.mailed.clone()),
        ..Default::default()
    }))
}
