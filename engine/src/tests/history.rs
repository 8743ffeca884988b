//! What was said, and who may still read it.

use ruma::api::client::filter::RoomEventFilter;
use spec::{json::Object, object};

use super::fixture::houses;
use crate::{Direction, Error, MessagesAsk, Preset, Redact, SetState};

fn page(from: Option<String>, direction: Direction, limit: u16) -> MessagesAsk {
    MessagesAsk {
        from,
        to: None,
        direction,
        limit,
        filter: RoomEventFilter::default(),
        relations: crate::RelationFilter::default(),
    }
}

#[tokio::test]
async fn paging_back_and_forth_meets_every_event_once() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        for n in 0..25 {
            alice.says(&room, &n.to_string()).await.unwrap();
        }
        let handle = alice.room(&room).await;
        for direction in [Direction::Backward, Direction::Forward] {
            let (mut from, mut seen) = (None, Vec::new());
            loop {
                let part = handle
                    .messages(&alice.requester, page(from, direction, 7))
                    .await
                    .unwrap();
                assert!(part.chunk.len() <= 7);
                seen.extend(
                    part.chunk
                        .iter()
                        .map(|event| event.get_field::<String>("event_id").unwrap()),
                );
                match part.end {
                    Some(end) => from = Some(end),
                    None => break,
                }
            }
            let mut unique = seen.clone();
            unique.sort();
            unique.dedup();
            assert_eq!((seen.len(), unique.len()), (31, 31), "{direction:?}");
        }
    }
}

#[tokio::test]
async fn those_who_left_see_nothing_of_what_came_later() {
    for house in houses().await {
        let (alice, bob, eve) = (
            house.person("alice"),
            house.person("bob"),
            house.person("eve"),
        );
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        alice.says(&room, "before").await.unwrap();
        bob.leaves(&room).await.unwrap();
        let later = alice.says(&room, "after").await.unwrap();
        let handle = bob.room(&room).await;
        let part = handle
            .messages(&bob.requester, page(None, Direction::Backward, 100))
            .await
            .unwrap();
        let text: String = part
            .chunk
            .iter()
            .map(|event| event.json().get().to_owned())
            .collect();
        assert!(
            text.contains("before") && !text.contains(r#""after""#),
            "{text}"
        );
        assert!(matches!(
            handle.event(&bob.requester, &later).await,
            Err(Error::NotFound(_))
        ));
        let stranger = handle
            .messages(&eve.requester, page(None, Direction::Backward, 10))
            .await;
        assert!(matches!(stranger, Err(Error::Forbidden(_))));
        handle.forget(&bob.requester).await.unwrap();
        let forgotten = handle
            .messages(&bob.requester, page(None, Direction::Backward, 10))
            .await;
        assert!(matches!(forgotten, Err(Error::Forbidden(_))));
    }
}

#[tokio::test]
async fn history_since_joining_only_hides_what_came_before() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        let handle = alice.room(&room).await;
        let visibility = SetState {
            event_type: "m.room.history_visibility".to_owned(),
            state_key: String::new(),
            content: object! { "history_visibility" => "joined" },
        };
        handle
            .set_state(&alice.requester, visibility)
            .await
            .unwrap();
        let hidden = alice.says(&room, "hidden").await.unwrap();
        bob.joins(&room).await.unwrap();
        let shown = alice.says(&room, "shown").await.unwrap();
        assert!(matches!(
            handle.event(&bob.requester, &hidden).await,
            Err(Error::NotFound(_))
        ));
        handle.event(&bob.requester, &shown).await.unwrap();
    }
}

#[tokio::test]
async fn a_redacted_message_loses_its_body_for_everyone() {
    for house in houses().await {
        for version in ["10", "11", "12"] {
            let (alice, bob) = (house.person("alice"), house.person("bob"));
            let room = alice.creates(version, Preset::Public).await;
            bob.joins(&room).await.unwrap();
            let handle = alice.room(&room).await;
            let secret = alice.says(&room, "the secret").await.unwrap();
            let ask = Redact {
                event_id: secret.clone(),
                content: Object::new(),
                txn_id: Some("r".to_owned()),
            };
            assert!(matches!(
                handle.redact(&bob.requester, ask.clone()).await,
                Err(Error::Forbidden(_))
            ));
            let redaction = handle.redact(&alice.requester, ask.clone()).await.unwrap();
            assert_eq!(
                handle.redact(&alice.requester, ask).await.unwrap(),
                redaction,
                "{version}"
            );
            let seen = handle.event(&bob.requester, &secret).await.unwrap();
            assert!(
                !seen.json().get().contains("the secret"),
                "{version}: {seen:?}"
            );
            assert!(
                seen.json().get().contains("redacted_because"),
                "{version}: {seen:?}"
            );
            let shown = handle.event(&bob.requester, &redaction).await.unwrap();
            let shown: serde_json::Value = shown.deserialize_as_unchecked().unwrap();
            assert_eq!(shown["redacts"], secret.as_str(), "{version}");
            assert_eq!(shown["content"]["redacts"], secret.as_str(), "{version}");
        }
    }
}
