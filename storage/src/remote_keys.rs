//! The signing keys of other servers.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use crate::{
    entity::{
        remote_key::{Column, Entity, Model},
        remote_key_document,
    },
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

/// Documents that list the keys of a server, those with these times until which they are to be believed, in ms; by these
/// times. One query.
pub async fn documents(
    db: &impl ConnectionTrait,
    server: &str,
    valid_until_ts: &[i64],
) -> Result<BTreeMap<i64, String>> {
    let of_server = remote_key_document::Column::Server.eq(server);
    let these = remote_key_document::Column::ValidUntilTs.is_in(valid_until_ts.iter().copied());
    let found = remote_key_document::Entity::find()
        .filter(of_server)
        .filter(these);
    let found = found.all(db).await?.into_iter();
    Ok(found
        .map(|row| (row.valid_until_ts, row.document))
        .collect())
}
