//! Filters that clients uploaded.

use ruma::UserId;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::{entity::filter::Entity, error::Result};

/// The JSON text of a user's filter.
pub async fn find(db: &impl ConnectionTrait, user_id: &UserId, id: &str) -> Result<Option<String>> {
    let row = Entity::find_by_id((user_id.to_string(), id.to_owned()))
        .one(db)
        .await?;
    Ok(row.map(|row| row.json))
}
