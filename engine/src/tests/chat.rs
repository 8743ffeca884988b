//! Two people talk.

use super::fixture::{bodies, houses, target};
use crate::{Error, Preset};

#[tokio::test]
async fn a_message_reaches_everyone_in_the_room_in_every_version() {
    for house in houses().await {
        for version in spec::room_version::RoomVersion::all() {
            let version = version.id();
            let (alice, bob) = (house.person("alice"), house.person("bob"));
            let room = alice.creates(version, Preset::Private).await;
            assert!(
                matches!(bob.joins(&room).await, Err(Error::Denied(_))),
                "{version}: uninvited"
            );
            alice.invites(&room, &bob).await.unwrap();
            let invited = bob.syncs(None).await;
            let stripped = &invited.rooms.invite[&room].invite_state.events;
            assert!(
                stripped
                    .iter()
                    .any(|event| event.json().get().contains("m.room.create")),
                "{version}"
            );
            bob.joins(&room).await.unwrap();
            let before = bob.syncs(Some(&invited.next_batch)).await;
            assert!(
                before.rooms.join[&room].timeline.events.len() > 1,
                "{version}: {before:?}"
            );
            alice.says(&room, "hello").await.unwrap();
            let after = bob.syncs(Some(&before.next_batch)).await;
            assert_eq!(bodies(&after, &room), ["hello"], "{version}");
            bob.leaves(&room).await.unwrap();
            let left = bob.syncs(Some(&after.next_batch)).await;
            assert_eq!(
                left.rooms.leave[&room].timeline.events.len(),
                1,
                "{version}: {left:?}"
            );
            assert!(left.rooms.join.is_empty(), "{version}");
            assert!(
                matches!(bob.says(&room, "still here").await, Err(Error::Denied(_))),
                "{version}"
            );
        }
    }
}

#[tokio::test]
async fn a_repeated_transaction_is_one_event_even_when_both_come_at_once() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let sends = (0..20).map(|_| alice.sends(&room, "once", Some("t1")));
        let ids = futures_util::future::try_join_all(sends).await.unwrap();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(
            alice
                .sends(&room, "another body", Some("t1"))
                .await
                .unwrap(),
            ids[0]
        );
        assert_ne!(
            alice.sends(&room, "once", Some("t2")).await.unwrap(),
            ids[0]
        );
    }
}

#[tokio::test]
async fn a_waiting_sync_is_woken_and_misses_nothing_of_many_senders() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Public).await;
        let people: Vec<_> = (0..8).map(|n| house.person(&format!("p{n}"))).collect();
        for person in &people {
            person.joins(&room).await.unwrap();
        }
        let start = alice.syncs(None).await.next_batch;
        let senders = people.iter().map(|person| {
            let room = &room;
            async move {
                for n in 0..10 {
                    person.says(room, &format!("{n}")).await.unwrap();
                }
            }
        });
        let reader = async {
            let (mut since, mut seen) = (start, 0);
            while seen < 80 {
                let ask = crate::SyncAsk {
                    since: Some(since),
                    timeout: std::time::Duration::from_secs(60),
                    filter: serde_json::from_str(r#"{"room":{"timeline":{"limit":100}}}"#).unwrap(),
                    ..crate::SyncAsk::default()
                };
                let response = alice.engine.sync(&alice.requester, &ask).await.unwrap();
                seen += bodies(&response, &room).len();
                since = response.next_batch;
            }
            seen
        };
        let ((), seen) = tokio::join!(
            async { drop(futures_util::future::join_all(senders).await) },
            reader
        );
        assert_eq!(seen, 80);
    }
}

#[tokio::test]
async fn moderators_remove_and_ban_and_the_removed_are_told() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let handle = alice.room(&room).await;
        assert!(matches!(
            handle.kick(&bob.requester, target(&alice)).await,
            Err(Error::Denied(_))
        ));
        let since = bob.syncs(None).await.next_batch;
        handle.ban(&alice.requester, target(&bob)).await.unwrap();
        let told = bob.syncs(Some(&since)).await;
        assert!(
            told.rooms.leave[&room].timeline.events[0]
                .json()
                .get()
                .contains(r#""ban""#)
        );
        assert!(matches!(bob.joins(&room).await, Err(Error::Denied(_))));
        handle.unban(&alice.requester, target(&bob)).await.unwrap();
        assert!(matches!(
            handle.unban(&alice.requester, target(&bob)).await,
            Err(Error::Forbidden(_))
        ));
        bob.joins(&room).await.unwrap();
    }
}

/// From version 12 on the id of a room is a hash of its create event, and the clock of this test stands still.
#[tokio::test]
async fn rooms_of_one_creator_at_the_same_time_are_several() {
    for house in houses().await {
        let alice = house.person("alice");
        let mut rooms = std::collections::BTreeSet::new();
        for _ in 0..3 {
            rooms.insert(alice.creates("12", Preset::Private).await);
        }
        assert_eq!(rooms.len(), 3);
    }
}

/// From version 12 on the id of a room is a hash of its create event, and the clock stands still here.
#[tokio::test]
async fn rooms_of_the_same_moment_each_have_their_alias() {
    for house in houses().await {
        let alice = house.person("alice");
        let create = |alias: &str| {
            let ask = crate::CreateRoom {
                room_version: Some("12".to_owned()),
                alias_localpart: Some(alias.to_owned()),
                ..crate::CreateRoom::default()
            };
            alice.engine.create_room(&alice.requester, ask)
        };
        let first = create("one").await.unwrap();
        assert_ne!(create("two").await.unwrap(), first);
        assert!(matches!(create("one").await, Err(Error::RoomInUse)));
    }
}
