//! The threads that users follow: MSC4306.

use ruma::{EventId, UserId};
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::{
    entity::thread_subscription::{Entity, Model},
    error::Result,
    id::RoomRow,
};

/// A subscription as stored.
pub type ThreadSubscription = Model;

/// What a user has to do with a thread; `None`: nothing ever. One look-up by primary key.
pub async fn one(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    room: RoomRow,
    thread_root: &EventId,
) -> Result<Option<ThreadSubscription>> {
    let key = (user_id.to_string(), room, thread_root.to_string());
    Ok(Entity::find_by_id(key).one(db).await?)
}
