//! Devices: what is asked of them, and how they change.

use ruma::{DeviceId, UserId};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};

use crate::{
    entity::device::{ActiveModel, Column, Entity, Model},
    error::Result,
    write::Plain,
};

/// One device.
pub async fn find(
    db: &impl ConnectionTrait,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<Option<Model>> {
    Ok(
        Entity::find_by_id((user_id.to_string(), device_id.to_string()))
            .one(db)
            .await?,
    )
}

/// All devices of a user, by id.
pub async fn of_user(db: &impl ConnectionTrait, user_id: &UserId) -> Result<Vec<Model>> {
    let of_user = Entity::find().filter(Column::UserId.eq(user_id.as_str()));
    Ok(of_user.order_by_asc(Column::DeviceId).all(db).await?)
}

/// Gives a device a name.
#[must_use]
pub fn renamed(user_id: &UserId, device_id: &DeviceId, display_name: String) -> Plain {
    Plain::DeviceUpdate(ActiveModel {
        display_name: Set(Some(display_name)),
        ..of(user_id, device_id)
    })
}

/// Notes when and how a device was last used; `ts` in milliseconds since the epoch.
#[must_use]
pub fn seen(
    user_id: &UserId,
    device_id: &DeviceId,
    ts: i64,
    ip: Option<String>,
    user_agent: Option<String>,
) -> Plain {
    Plain::DeviceUpdate(ActiveModel {
        last_seen_ts: Set(Some(ts)),
        last_seen_ip: Set(ip),
        last_seen_user_agent: Set(user_agent),
        ..of(user_id, device_id)
    })
}

fn of(user_id: &UserId, device_id: &DeviceId) -> ActiveModel {
    ActiveModel {
        user_id: Unchanged(user_id.to_string()),
        device_id: Unchanged(device_id.to_string()),
        ..ActiveModel::default()
    }
}
