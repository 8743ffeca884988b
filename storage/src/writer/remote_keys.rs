//! The signing keys of other servers, with the documents that list them.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, sea_query::ExprTrait as _,
};

use super::rows::{Existing, delete, insert, values};
use crate::{
    entity::{remote_key, remote_key_document},
    error::Result,
    write::RemoteKeys,
};

/// How many keys of one server are kept, those that were heard of last. A document lists 500 at most, and a server that
/// changes its key every month has 12 more each year.
pub(crate) const KEYS_OF_SERVER_MAX: u64 = 1_000;

/// Puts the keys and their document; then those keys go that are too many, and the documents that list none that is kept.
pub(super) async fn put(db: &impl ConnectionTrait, told: &RemoteKeys) -> Result<()> {
    use remote_key::Column as Key;
    use remote_key_document::Column as Document;
    let server = told.document.server.as_str();
    let rows = told.keys.iter().map(values).collect();
    let by = Existing::IsReplaced(&[Key::Server, Key::KeyId]);
    insert::<remote_key::Entity>(db, by, rows).await?;
    let by = Existing::IsReplaced(&[Document::Server, Document::ValidUntilTs]);
    insert::<remote_key_document::Entity>(db, by, vec![values(&told.document)]).await?;
    let of_server = || remote_key::Entity::find().filter(Key::Server.eq(server));
    let too_many = of_server()
        .select_only()
        .column(Key::KeyId)
        .order_by_desc(Key::FetchedTs)
        .order_by_asc(Key::KeyId)
        .offset(KEYS_OF_SERVER_MAX)
        .limit(KEYS_OF_SERVER_MAX);
    let too_many: Vec<String> = too_many.into_tuple().all(db).await?;
    if !too_many.is_empty() {
        let these = Key::Server.eq(server).and(Key::KeyId.is_in(too_many));
        delete::<remote_key::Entity>(db, these).await?;
    }
    let listed = of_server().select_only().column(Key::ValidUntilTs);
    let idle = Document::Server
        .eq(server)
        .and(Document::ValidUntilTs.not_in_subquery(listed.into_query()));
    delete::<remote_key_document::Entity>(db, idle).await
}
