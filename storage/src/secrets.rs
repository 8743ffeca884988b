//! Random bytes that this server keeps for itself.

use sea_orm::{ConnectionTrait, EntityTrait};

use crate::{entity::secret::Entity, error::Result};

pub use crate::entity::secret::Model as StoredSecret;

/// The secret of this name. One query, on the primary key.
pub async fn find(db: &impl ConnectionTrait, name: &str) -> Result<Option<StoredSecret>> {
    Ok(Entity::find_by_id(name.to_owned()).one(db).await?)
}
