//! The signing keys of this server, those of the past included.

use sea_orm::{ConnectionTrait, EntityTrait as _, QueryOrder as _};

use crate::{
    entity::server_key::{Column, Entity, Model},
    error::Result,
};

/// All keys, oldest first: there are as many as the operator has ever made, a handful.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Model>> {
    Ok(Entity::find()
        .order_by_asc(Column::CreatedTs)
        .order_by_asc(Column::KeyId)
        .all(db)
        .await?)
}
