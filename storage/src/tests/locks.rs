//! One process at a time.

use crate::{Error, Settings, Store, testing::Scratch};

#[tokio::test]
async fn data_in_use_is_refused_until_it_is_closed() {
    for scratch in Scratch::each().await.unwrap() {
        let store = scratch.open().await.unwrap();
        let refused = scratch.open().await.unwrap_err();
        assert!(matches!(refused, Error::Locked(_)), "{refused:?}");
        store.close().await;
        scratch.open().await.unwrap();
    }
}

#[tokio::test]
async fn a_url_that_names_no_database_is_refused() {
    for url in [
        "mysql://localhost/x",
        "data.db",
        "",
        "sqlite::memory:",
        "sqlite:",
    ] {
        let refused = Store::open(Settings::new(url)).await.unwrap_err();
        assert!(matches!(refused, Error::Settings(_)), "{url}: {refused:?}");
    }
}
