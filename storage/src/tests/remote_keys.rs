//! The signing keys of other servers, and the documents that list them.

use super::fixture::on_each;
use crate::{
    Plain, Store, Write,
    entity::{remote_key, remote_key_document},
    remote_keys,
    write::RemoteKeys,
};

/// Has a server tell keys at a time, in a document that is valid until then.
async fn tells(store: &Store, server: &str, keys: impl IntoIterator<Item = u32>, ts: i64) {
    let key = |n: u32| remote_key::Model {
        server: server.to_owned(),
        key_id: format!("ed25519:{n}"),
        key: "key".to_owned(),
        valid_until_ts: ts,
        expired_ts: None,
        fetched_ts: ts,
    };
    let document = remote_key_document::Model {
        server: server.to_owned(),
        valid_until_ts: ts,
        document: format!("of {ts}"),
    };
    let keys = keys.into_iter().map(key).collect();
    let told = Plain::RemoteKeys(RemoteKeys { keys, document });
    store.write(Write::plain(vec![told])).await.unwrap();
}

async fn keys(store: &Store, server: &str) -> usize {
    let keys = remote_keys::of_servers(store.reader(), [server]).await;
    keys.unwrap().len()
}

async fn documents(store: &Store, server: &str) -> Vec<i64> {
    let all: Vec<i64> = (0..100).collect();
    let documents = remote_keys::documents(store.reader(), server, &all).await;
    documents.unwrap().into_keys().collect()
}

#[tokio::test]
async fn a_document_is_kept_once_and_as_long_as_a_key_is_listed_in_it() {
    on_each(async |store| {
        tells(&store, "other", [1], 5).await;
        tells(&store, "there", [1, 2, 3], 10).await;
        tells(&store, "there", [3], 20).await;
        assert_eq!(keys(&store, "there").await, 3);
        assert_eq!(documents(&store, "there").await, [10, 20]);
        tells(&store, "there", [1, 2, 3], 30).await;
        assert_eq!(documents(&store, "there").await, [30]);
        assert_eq!(documents(&store, "other").await, [5]);
    })
    .await;
}

#[tokio::test]
async fn of_a_server_with_ever_new_keys_only_the_last_are_kept() {
    on_each(async |store| {
        tells(&store, "other", [1], 5).await;
        for ts in 0..5 {
            let first = u32::try_from(ts).unwrap() * 500;
            tells(&store, "there", first..first + 500, ts).await;
        }
        assert_eq!(keys(&store, "there").await, 1_000);
        assert_eq!(documents(&store, "there").await, [3, 4]);
        assert_eq!(keys(&store, "other").await, 1);
    })
    .await;
}
