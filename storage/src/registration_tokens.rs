//! Tokens that let people register.

use sea_orm::{ConnectionTrait, EntityTrait};

use crate::{
    entity::registration_token::{Entity, Model},
    error::Result,
};

/// The row of `token`, expired and used-up ones included.
pub async fn find(db: &impl ConnectionTrait, token: &str) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(token).one(db).await?)
}
