//! Pairs of event type and state key as integers.

use super::fixture::on_each;
use crate::{Error, Plain, StateKeyRow, Write};

#[tokio::test]
async fn a_pair_keeps_its_number() {
    on_each(async |store| {
        let keys = store.state_keys();
        let pairs = [
            ("m.room.name", ""),
            ("m.room.member", "@a:test"),
            ("m.room.name", ""),
        ];
        let new = keys.resolve(&pairs).await.unwrap();
        assert_eq!(new.rows[0], new.rows[2]);
        assert_ne!(new.rows[0], new.rows[1]);
        assert!(new.inserts.len() >= 2);

        // Not stored yet, so whoever asks must bring the rows along; any number may write them.
        let again = keys.resolve(&pairs).await.unwrap();
        assert_eq!(again.rows, new.rows);
        assert!(again.inserts.len() >= 2);
        let [(of, _), ..] = &keys.names(&new.rows).await.unwrap()[..] else {
            panic!("no names")
        };
        assert_eq!(
            of, "m.room.name",
            "a new pair has its name before it is stored"
        );
        let first = store.enqueue(Write::plain(new.inserts));
        let second = store.enqueue(Write::plain(again.inserts));
        first.await.unwrap();
        second.await.unwrap();

        let stored = keys.resolve(&pairs).await.unwrap();
        assert_eq!(stored.rows, new.rows);
        assert!(stored.inserts.is_empty());
        let names = keys.names(&new.rows).await.unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(names, pairs);
        assert_eq!(
            keys.find(&[("m.room.name", ""), ("m.room.topic", "")])
                .await
                .unwrap(),
            [Some(new.rows[0]), None]
        );
        let unknown = keys.names(&[StateKeyRow(1_000_000)]).await;
        assert!(matches!(unknown, Err(Error::Corrupt(_))));
    })
    .await;
}

#[tokio::test]
async fn stored_pairs_are_known_after_a_restart() {
    for scratch in crate::testing::Scratch::each().await.unwrap() {
        let store = scratch.open().await.unwrap();
        let names: Vec<String> = (0..700).map(|n| format!("@user{n}:test")).collect();
        let pairs: Vec<_> = names
            .iter()
            .map(|name| ("m.room.member", name.as_str()))
            .collect();
        let new = store.state_keys().resolve(&pairs).await.unwrap();
        assert_eq!(new.inserts.len(), 700);
        store.write(Write::plain(new.inserts)).await.unwrap();
        store.close().await;

        let store = scratch.open().await.unwrap();
        let stored = store.state_keys().resolve(&pairs).await.unwrap();
        assert_eq!(stored.rows, new.rows);
        assert!(stored.inserts.is_empty());
        let other = store
            .state_keys()
            .resolve(&[("m.room.member", "@new:test")])
            .await
            .unwrap();
        assert!(!new.rows.contains(&other.rows[0]));
        assert!(matches!(other.inserts[..], [Plain::StateKey(_)]));
    }
}
