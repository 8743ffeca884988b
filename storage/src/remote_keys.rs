//! The signing keys of other servers.

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use crate::{
    entity::remote_key::{Column, Entity, Model},
    error::Result,
};

/// How many servers one query asks for.
const CHUNK: usize = 500;

/// All keys of these servers, in no order; a server has few. A query for every 500 servers.
pub async fn of_servers(
    db: &impl ConnectionTrait,
    servers: impl IntoIterator<Item = &str>,
) -> Result<Vec<Model>> {
    let servers: Vec<&str> = servers.into_iter().collect();
    let mut keys = Vec::new();
    for chunk in servers.chunks(CHUNK) {
        let these = Column::Server.is_in(chunk.iter().copied());
        keys.extend(Entity::find().filter(these).all(db).await?);
    }
    Ok(keys)
}
