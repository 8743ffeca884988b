//! Searching one's rooms.

use ruma::OwnedRoomId;
use serde_json::{Value, json};

use super::fixture::{Person, houses};
use crate::{
    Preset, RelationFilter, SearchAsk, SearchContext, SearchKey, SearchOrder, SearchPage, SetState,
};

pub(super) fn ask(term: &str) -> SearchAsk {
    SearchAsk {
        term: term.to_owned(),
        keys: Vec::new(),
        filter: serde_json::from_value(json!({ "limit": 100 })).unwrap(),
        relations: RelationFilter::default(),
        order: SearchOrder::Recent,
        context: None,
        include_state: false,
        from: None,
    }
}

impl Person {
    async fn searches(&self, ask: SearchAsk) -> SearchPage {
        self.engine.search(&self.requester, ask).await.unwrap()
    }

    /// The bodies of what a word finds, newest first.
    async fn finds(&self, term: &str) -> Vec<String> {
        bodies(&self.searches(ask(term)).await)
    }

    pub(super) async fn configures(&self, room: &OwnedRoomId, event_type: &str, content: Value) {
        let content = serde_json::to_vec(&content).unwrap();
        let content = spec::json::parse_object(&content, spec::json::Strictness::Strict).unwrap();
        let set = SetState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        };
        let room = self.room(room).await;
        room.set_state(&self.requester, set).await.unwrap();
    }
}

fn bodies(page: &SearchPage) -> Vec<String> {
    let body = |event: Value| {
        let content = &event["content"];
        let text = ["body", "name", "topic"]
            .iter()
            .find_map(|key| content[key].as_str());
        text.unwrap_or_default().to_owned()
    };
    let events = page.results.iter();
    events
        .map(|hit| body(hit.event.deserialize_as_unchecked().unwrap()))
        .collect()
}

#[tokio::test]
async fn only_what_the_user_may_see_is_found() {
    for house in houses().await {
        let [alice, bob, eve] = ["alice", "bob", "eve"].map(|name| house.person(name));
        let room = alice.creates("12", Preset::Public).await;
        alice
            .configures(
                &room,
                "m.room.history_visibility",
                json!({ "history_visibility": "joined" }),
            )
            .await;
        alice.says(&room, "needle before bob").await.unwrap();
        bob.joins(&room).await.unwrap();
        house.clock.advance(1);
        alice.says(&room, "needle for both").await.unwrap();
        bob.leaves(&room).await.unwrap();
        house.clock.advance(1);
        alice.says(&room, "needle after bob").await.unwrap();
        let all = ["needle after bob", "needle for both", "needle before bob"];
        assert_eq!(alice.finds("needle").await, all);
        assert_eq!(bob.finds("needle").await, [all[1]]);
        assert_eq!(alice.searches(ask("needle")).await.count, 3);
        assert_eq!(
            bob.searches(ask("needle")).await.count,
            1,
            "a number tells nothing either of what is hidden"
        );
        assert!(eve.finds("needle").await.is_empty());
        assert_eq!(alice.finds("needle BOTH").await, [all[1]]);
        bob.room(&room).await.forget(&bob.requester).await.unwrap();
        assert!(bob.finds("needle").await.is_empty());
        for nothing in ["", "  ", "\0"] {
            assert!(alice.finds(nothing).await.is_empty(), "{nothing:?}");
        }
        let long = "x".repeat(100_000);
        assert!(alice.finds(&long).await.is_empty());
        assert!(alice.finds(&"a ".repeat(50_000)).await.len() <= 3);
    }
}

#[tokio::test]
async fn names_and_topics_are_found_and_edits_by_their_new_content_but_nothing_redacted() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        alice
            .configures(&room, "m.room.name", json!({ "name": "haystack name" }))
            .await;
        let topic = json!({ "topic": "haystack topic", "m.topic": { "m.text": [{ "body": "another form" }] } });
        alice.configures(&room, "m.room.topic", topic).await;
        let said = alice.says(&room, "haystack body").await.unwrap();
        for (keys, expected) in [
            (vec![SearchKey::Body], "haystack body"),
            (vec![SearchKey::Name], "haystack name"),
            (vec![SearchKey::Topic], "haystack topic"),
        ] {
            let ask = SearchAsk {
                keys,
                ..ask("haystack")
            };
            assert_eq!(bodies(&alice.searches(ask).await), [expected]);
        }
        assert_eq!(alice.finds("haystack").await.len(), 3);
        assert_eq!(alice.finds("another").await, ["haystack topic"]);
        let edit = alice.edits(&room, &said, "straw").await;
        assert_eq!(alice.finds("straw").await, ["haystack body"]);
        assert!(alice.finds("body").await.is_empty());
        house.clock.advance(1);
        let again = alice.edits(&room, &said, "hay").await;
        assert!(alice.finds("straw").await.is_empty());
        let found = alice.searches(ask("hay")).await;
        let hit = found.results.iter().find(|hit| hit.event_id == said);
        let hit = hit.expect("the event, with its edit").event.json().get();
        assert!(hit.contains(again.as_str()), "{hit}");
        alice.redacts(&room, &again).await;
        assert_eq!(alice.finds("straw").await, ["haystack body"]);
        alice.redacts(&room, &edit).await;
        assert!(alice.finds("straw").await.is_empty());
        assert_eq!(alice.finds("body").await, ["haystack body"]);
        alice.redacts(&room, &said).await;
        assert!(alice.finds("body").await.is_empty());
        alice.sends(&room, "odd \0 needle", None).await.unwrap();
        assert_eq!(alice.finds("needle").await.len(), 1);
    }
}

/// Client-server API, "Validity of replacement events" and "Server Side Search".
#[tokio::test]
async fn edits_of_others_change_nothing_and_edits_unseen_are_not_found() {
    for house in houses().await {
        let [alice, bob] = ["alice", "bob"].map(|name| house.person(name));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let said = alice.says(&room, "needle").await.unwrap();
        bob.edits(&room, &said, "straw").await;
        assert_eq!(bob.finds("needle").await, ["needle"]);
        assert!(bob.finds("straw").await.is_empty());
        bob.leaves(&room).await.unwrap();
        alice.edits(&room, &said, "secret").await;
        assert_eq!(alice.finds("secret").await, ["needle"]);
        assert!(bob.finds("secret").await.is_empty());
    }
}

#[tokio::test]
async fn encrypted_rooms_are_not_searched() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        alice.says(&room, "needle").await.unwrap();
        assert_eq!(alice.finds("needle").await.len(), 1);
        let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
        alice
            .configures(&room, "m.room.encryption", algorithm)
            .await;
        alice.says(&room, "another needle").await.unwrap();
        assert!(alice.finds("needle").await.is_empty());
    }
}

#[tokio::test]
async fn pages_come_to_their_end_and_new_messages_do_not_move_them() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        for n in 0..25 {
            house.clock.advance(1);
            let who = if n % 5 == 0 { &bob } else { &alice };
            who.says(&room, &format!("needle {n}")).await.unwrap();
        }
        for order in [SearchOrder::Recent, SearchOrder::Rank] {
            let (mut found, mut from) = (Vec::new(), None);
            loop {
                let filter = serde_json::from_value(json!({ "limit": 10 })).unwrap();
                let page = alice
                    .searches(SearchAsk {
                        order,
                        from,
                        filter,
                        ..ask("needle")
                    })
                    .await;
                assert!(page.results.len() <= 10);
                found.extend(bodies(&page));
                let Some(next) = page.next_batch else { break };
                from = Some(next);
                house.clock.advance(1);
                alice.says(&room, "a later needle").await.unwrap();
            }
            let mut numbered = found.clone();
            numbered.retain(|body| body.starts_with("needle"));
            assert_eq!(numbered.len(), 25, "{order:?}");
            found.sort();
            found.dedup_by(|one, other| one == other && one.starts_with("needle"));
            let different = found
                .iter()
                .filter(|body| body.starts_with("needle"))
                .count();
            assert_eq!(different, 25, "{order:?}");
        }
        let hostile = SearchAsk {
            from: Some(format!("f{}_{}_3", i64::MAX, usize::MAX)),
            ..ask("needle")
        };
        assert!(alice.searches(hostile).await.results.is_empty());
        let garbage = alice
            .engine
            .search(
                &alice.requester,
                SearchAsk {
                    from: Some("t1".to_owned()),
                    ..ask("needle")
                },
            )
            .await;
        assert!(
            matches!(garbage, Err(crate::Error::InvalidParam(_))),
            "{garbage:?}"
        );
        let of_bob =
            serde_json::from_value(json!({ "limit": 100, "senders": ["@bob:here"] })).unwrap();
        let page = alice
            .searches(SearchAsk {
                filter: of_bob,
                ..ask("needle")
            })
            .await;
        assert_eq!((page.results.len(), page.count), (5, 5));
        let elsewhere = serde_json::from_value(json!({ "not_rooms": [room] })).unwrap();
        let page = alice
            .searches(SearchAsk {
                filter: elsewhere,
                ..ask("needle")
            })
            .await;
        assert_eq!(page.results.len(), 0);
        alice.ignores(&[&bob]).await;
        assert!(!alice.finds("needle").await.contains(&"needle 0".to_owned()));
    }
}

/// Only the first page counts; the others know from their token.
#[tokio::test]
async fn all_pages_say_the_same_count_and_later_ones_cost_less() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        for n in 0..130 {
            house.clock.advance(1);
            let text = format!("needle {}", "again ".repeat(n % 3));
            alice.says(&room, &text).await.unwrap();
        }
        let store = &house.engine.context.store;
        for order in [SearchOrder::Recent, SearchOrder::Rank] {
            let (mut from, mut found, mut costs) = (None, 0, Vec::new());
            loop {
                let filter = serde_json::from_value(json!({ "limit": 60 })).unwrap();
                let before = store.reads();
                let page = SearchAsk {
                    order,
                    from,
                    filter,
                    ..ask("needle")
                };
                let page = alice.searches(page).await;
                costs.push(store.reads() - before);
                assert_eq!(page.count, 130, "{order:?}");
                found += page.results.len();
                match page.next_batch {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, 130, "{order:?}");
            assert!(costs[1] < costs[0], "{order:?}: {costs:?}");
        }
    }
}

#[tokio::test]
async fn a_result_comes_with_what_stands_around_it_and_who_spoke_there() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        for body in ["one", "two", "needle", "four", "five"] {
            bob.says(&room, body).await.unwrap();
        }
        let context = SearchContext {
            before: 1,
            after: 5,
            profiles: true,
        };
        let wanted = SearchAsk {
            context: Some(context),
            include_state: true,
            ..ask("needle")
        };
        let page = alice.searches(wanted).await;
        assert_eq!(page.highlights, ["needle"]);
        let hit = &page.results[0];
        let around = hit.context.as_ref().unwrap();
        assert_eq!((around.before.len(), around.after.len()), (1, 2));
        assert!(around.before[0].json().get().contains("two"));
        assert!(around.after[0].json().get().contains("four"));
        assert!(around.profiles.contains_key(&bob.requester.user_id));
        assert!(page.state[&room].len() > 4);
        let reply = bob.relates(&room, "m.thread", &hit.event_id).await.unwrap();
        let page = alice.searches(ask("needle")).await;
        assert!(page.results[0].event.json().get().contains(reply.as_str()));
    }
}
