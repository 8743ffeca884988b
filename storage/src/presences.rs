//! Who was there when the server ran last.

use sea_orm::{ConnectionTrait, EntityTrait};

pub use crate::entity::presence::Model as Presence;
use crate::{entity::presence, error::Result};

/// All who were there or had said something of themselves, in no order. One query; the engine keeps no more than it holds in
/// memory.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Presence>> {
    Ok(presence::Entity::find().all(db).await?)
}
