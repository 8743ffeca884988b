//! Events that relate to others.

use ruma::{EventId, OwnedEventId, OwnedRoomId, serde::Raw};
use serde_json::{Value, json};
use spec::{event::Draft, json::Object, object};

use super::{
    fixture::{Person, bodies, houses},
    redactions::{message, timeline},
};
use crate::{
    Direction, Error, MessagesAsk, Preset, Redact, RelationFilter, RelationsAsk, Result, Send,
    ThreadsAsk,
};

/// `m.relates_to`.
pub(super) fn relates(rel_type: &str, parent: &EventId) -> Object {
    object! { "rel_type" => rel_type, "event_id" => parent.as_str() }
}

impl Person {
    /// Sends a message that relates to another event.
    pub(super) async fn relates(
        &self,
        room: &OwnedRoomId,
        rel_type: &str,
        parent: &EventId,
    ) -> Result<OwnedEventId> {
        let content = object! {
            "body" => "related", "msgtype" => "m.text", "m.relates_to" => relates(rel_type, parent),
        };
        self.posts(room, "m.room.message", content).await
    }

    /// Reacts to an event.
    pub(super) async fn reacts(
        &self,
        room: &OwnedRoomId,
        parent: &EventId,
        key: &str,
    ) -> Result<OwnedEventId> {
        let relates_to = object! {
            "rel_type" => "m.annotation", "event_id" => parent.as_str(), "key" => key,
        };
        let content = object! { "m.relates_to" => relates_to };
        self.posts(room, "m.reaction", content).await
    }

    pub(super) async fn posts(
        &self,
        room: &OwnedRoomId,
        event_type: &str,
        content: Object,
    ) -> Result<OwnedEventId> {
        let ask = Send {
            event_type: event_type.to_owned(),
            content,
            txn_id: None,
        };
        self.room(room).await.send(&self.requester, ask).await
    }

    pub(super) async fn redacts(&self, room: &OwnedRoomId, event_id: &EventId) {
        let ask = Redact {
            event_id: event_id.to_owned(),
            content: Object::new(),
            txn_id: None,
        };
        let redacted = self.room(room).await.redact(&self.requester, ask).await;
        redacted.expect("one's own events may be redacted");
    }
}

#[tokio::test]
async fn an_event_is_in_the_thread_that_its_relations_lead_to_within_three_hops() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let root = alice.says(&room, "root").await.unwrap();
        let reply = alice.relates(&room, "m.thread", &root).await.unwrap();
        let of_root = alice.reacts(&room, &root, "👍").await.unwrap();
        let mut chain = vec![reply.clone()];
        for _ in 0..4 {
            let last = chain.last().unwrap();
            chain.push(alice.relates(&room, "m.reference", last).await.unwrap());
        }
        let nowhere = alice
            .relates(&room, "m.reference", "$nowhere".try_into().unwrap())
            .await
            .unwrap();
        let expected = [
            (&root, false),
            (&of_root, false),
            (&nowhere, false),
            (&chain[0], true),
            (&chain[1], true),
            (&chain[2], true),
            (&chain[3], true),
            (&chain[4], false),
        ];
        let ids: Vec<&EventId> = expected.iter().map(|(id, _)| id.as_ref()).collect();
        let handle = alice.room(&room).await;
        let threads = handle.threads_of_ids(&ids).await.unwrap();
        for (id, is_in) in expected {
            let thread = threads.get(id);
            assert_eq!(thread, is_in.then_some(&root), "{id}");
        }
    }
}

#[tokio::test]
async fn the_worker_knows_relations_of_events_that_are_not_written_yet() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let root = alice.says(&room, "root").await.unwrap();
        let reply = Draft {
            content: object! { "m.relates_to" => relates("m.thread", &root) },
            ..message(&alice, &room, "")
        };
        let handle = alice.room(&room).await;
        let found = handle.run(move |room| {
            Box::pin(async move {
                let reply = room.append(reply, None).await?;
                let related = [reply.event.id(), &root].map(ToOwned::to_owned);
                let mut found = Vec::new();
                for id in &related {
                    found.push(room.is_related(id).await?);
                }
                Ok((found, room.commit().await))
            })
        });
        let (found, pending) = found.await.unwrap();
        pending.wait().await.unwrap();
        assert_eq!(found, [true, false]);
    }
}

#[tokio::test]
async fn a_hundred_same_reactions_at_once_leave_one_and_another_after_its_redaction() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let message = alice.says(&room, "hello").await.unwrap();
        let together = (0..100).map(|_| bob.reacts(&room, &message, "👍"));
        let answers = futures_util::future::join_all(together).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1);
        for error in refused {
            assert!(
                matches!(error, Err(Error::DuplicateAnnotation)),
                "{error:?}"
            );
        }
        bob.reacts(&room, &message, "👎").await.unwrap();
        alice.reacts(&room, &message, "👍").await.unwrap();
        let first = made.into_iter().next().unwrap().unwrap();
        bob.redacts(&room, &first).await;
        bob.reacts(&room, &message, "👍").await.unwrap();
        let again = bob.reacts(&room, &message, "👍").await;
        assert!(
            matches!(again, Err(Error::DuplicateAnnotation)),
            "{again:?}"
        );
    }
}

#[tokio::test]
async fn a_thread_starts_only_at_an_event_that_relates_to_nothing() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let root = alice.says(&room, "root").await.unwrap();
        let reply = alice.relates(&room, "m.thread", &root).await.unwrap();
        let nested = alice.relates(&room, "m.thread", &reply).await;
        assert!(matches!(nested, Err(Error::Refused(_))), "{nested:?}");
        for (rel_type, parent) in [
            ("m.thread", "$nowhere"),
            ("m.reference", "$nowhere"),
            ("m.thread", "not an event"),
        ] {
            let content = object! {
                "m.relates_to" => object! { "rel_type" => rel_type, "event_id" => parent },
            };
            let sent = alice.posts(&room, "m.room.message", content).await;
            assert!(sent.is_ok(), "{rel_type} {parent}: {sent:?}");
        }
        let other = alice.creates("12", Preset::Private).await;
        alice.relates(&other, "m.thread", &root).await.unwrap();
    }
}

impl Person {
    /// Ignores these users and nobody else.
    pub(super) async fn ignores(&self, users: &[&Person]) {
        let users: serde_json::Map<String, Value> = users
            .iter()
            .map(|user| (user.requester.user_id.to_string(), json!({})))
            .collect();
        let content = json!({ "ignored_users": users }).to_string();
        let place = crate::account_data::Place {
            user_id: &self.requester.user_id,
            room_id: None,
        };
        let content = serde_json::value::RawValue::from_string(content).unwrap();
        self.engine
            .accounts()
            .set_account_data(&self.requester, place, "m.ignored_user_list", &content)
            .await
            .unwrap();
    }

    /// An edit of an event.
    pub(super) async fn edits(
        &self,
        room: &OwnedRoomId,
        original: &EventId,
        body: &str,
    ) -> OwnedEventId {
        let content = object! {
            "body" => format!("* {body}"), "msgtype" => "m.text",
            "m.new_content" => object! { "body" => body, "msgtype" => "m.text" },
            "m.relates_to" => relates("m.replace", original),
        };
        self.posts(room, "m.room.message", content).await.unwrap()
    }

    /// What is aggregated of an event's children, as this person sees it.
    async fn bundle(&self, room: &OwnedRoomId, id: &EventId) -> Value {
        let event = self
            .room(room)
            .await
            .event(&self.requester, id)
            .await
            .unwrap();
        let event: Value = event.deserialize_as_unchecked().unwrap();
        event["unsigned"]["m.relations"].clone()
    }

    /// The IDs of an event's children, and the token of the next page.
    async fn children(
        &self,
        room: &OwnedRoomId,
        ask: RelationsAsk,
    ) -> (Vec<String>, Option<String>) {
        let page = self
            .room(room)
            .await
            .relations(&self.requester, ask)
            .await
            .unwrap();
        (raw_ids(&page.chunk), page.next_batch)
    }
}

fn raw_ids<T>(chunk: &[Raw<T>]) -> Vec<String> {
    let id = |raw: &Raw<T>| raw.get_field::<String>("event_id").unwrap().unwrap();
    chunk.iter().map(id).collect()
}

fn ask(event_id: &EventId) -> RelationsAsk {
    RelationsAsk {
        event_id: event_id.to_owned(),
        rel_type: None,
        event_type: None,
        from: None,
        to: None,
        direction: Direction::Backward,
        limit: 100,
        recurse: false,
    }
}

#[tokio::test]
async fn a_thread_says_how_many_replied_who_was_last_and_whether_the_reader_was_among_them() {
    for house in houses().await {
        let people = ["alice", "bob", "carol", "eve"].map(|name| house.person(name));
        let [alice, bob, carol, eve] = &people;
        let room = alice.creates("12", Preset::Public).await;
        for person in &people[1..] {
            person.joins(&room).await.unwrap();
        }
        let root = alice.says(&room, "root").await.unwrap();
        assert_eq!(alice.bundle(&room, &root).await, Value::Null);
        for person in [bob, bob, eve] {
            person.relates(&room, "m.thread", &root).await.unwrap();
        }
        let last = eve.relates(&room, "m.thread", &root).await.unwrap();
        let edit = eve.edits(&room, &last, "better").await;
        for (person, participated) in [(alice, true), (bob, true), (carol, false)] {
            let thread = &person.bundle(&room, &root).await["m.thread"];
            assert_eq!(thread["count"], 4);
            assert_eq!(thread["latest_event"]["event_id"], last.as_str());
            assert_eq!(thread["current_user_participated"], participated);
            let of_last = &thread["latest_event"]["unsigned"]["m.relations"];
            assert_eq!(of_last["m.replace"]["event_id"], edit.as_str());
        }
        carol.ignores(&[eve]).await;
        let thread = &carol.bundle(&room, &root).await["m.thread"];
        assert_eq!(thread["count"], 2);
        assert_eq!(thread["latest_event"]["sender"], "@bob:here");
        eve.redacts(&room, &last).await;
        let thread = &alice.bundle(&room, &root).await["m.thread"];
        assert_eq!(
            (&thread["count"], &thread["latest_event"]["sender"]),
            (&json!(3), &json!("@eve:here"))
        );
        assert_ne!(thread["latest_event"]["event_id"], last.as_str());
        // Who has left sees the thread as it was then.
        bob.leaves(&room).await.unwrap();
        alice.relates(&room, "m.thread", &root).await.unwrap();
        assert_eq!(bob.bundle(&room, &root).await["m.thread"]["count"], 3);
        assert_eq!(alice.bundle(&room, &root).await["m.thread"]["count"], 4);
    }
}

#[tokio::test]
async fn the_last_valid_edit_counts_and_goes_with_its_redaction_or_that_of_the_original() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let original = alice.says(&room, "first").await.unwrap();
        let one = alice.edits(&room, &original, "second").await;
        let other = alice.edits(&room, &original, "third").await;
        bob.edits(&room, &original, "not bob's to edit").await;
        alice.relates(&room, "m.replace", &original).await.unwrap();
        // The clock stands still: the larger ID wins.
        let (winner, loser) = if one > other {
            (one, other)
        } else {
            (other, one)
        };
        let bundle = bob.bundle(&room, &original).await;
        assert_eq!(bundle["m.replace"]["event_id"], winner.as_str());
        assert_eq!(
            bundle["m.replace"]["content"]["m.relates_to"]["rel_type"],
            "m.replace"
        );
        alice.edits(&room, &winner, "an edit of an edit").await;
        assert_eq!(bob.bundle(&room, &winner).await, Value::Null);
        alice.redacts(&room, &winner).await;
        let bundle = bob.bundle(&room, &original).await;
        assert_eq!(bundle["m.replace"]["event_id"], loser.as_str());
        house.clock.advance(1);
        let last = alice.edits(&room, &original, "fourth").await;
        let bundle = bob.bundle(&room, &original).await;
        assert_eq!(bundle["m.replace"]["event_id"], last.as_str());
        let vote = bob.relates(&room, "m.reference", &original).await.unwrap();
        alice.redacts(&room, &original).await;
        let bundle = bob.bundle(&room, &original).await;
        assert_eq!(
            bundle,
            json!({ "m.reference": { "chunk": [{ "event_id": vote }] } })
        );
    }
}

#[tokio::test]
async fn children_come_by_kind_page_by_page_and_their_children_if_wanted() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let parent = alice.says(&room, "parent").await.unwrap();
        assert_eq!(alice.children(&room, ask(&parent)).await, (vec![], None));
        let mut all = Vec::new();
        for n in 0..5 {
            all.push(
                alice
                    .relates(&room, "m.reference", &parent)
                    .await
                    .unwrap()
                    .to_string(),
            );
            all.push(
                bob.reacts(&room, &parent, &n.to_string())
                    .await
                    .unwrap()
                    .to_string(),
            );
        }
        let reply = object! {
            "m.relates_to" => object! { "m.in_reply_to" => object! { "event_id" => parent.as_str() } },
        };
        bob.posts(&room, "m.room.message", reply).await.unwrap();
        let forward = RelationsAsk {
            direction: Direction::Forward,
            ..ask(&parent)
        };
        assert_eq!(alice.children(&room, forward.clone()).await.0, all);
        for direction in [Direction::Forward, Direction::Backward] {
            let mut expected = all.clone();
            if direction == Direction::Backward {
                expected.reverse();
            }
            let (mut paged, mut from) = (Vec::new(), None);
            loop {
                let ask = RelationsAsk {
                    from,
                    direction,
                    limit: 3,
                    ..ask(&parent)
                };
                let (ids, next) = alice.children(&room, ask).await;
                assert!(ids.len() <= 3);
                paged.extend(ids);
                let Some(next) = next else { break };
                from = Some(next);
            }
            assert_eq!(paged, expected, "{direction:?}");
        }
        let of_kind = |rel_type: &str, event_type: &str| RelationsAsk {
            rel_type: Some(rel_type.to_owned()),
            event_type: Some(event_type.to_owned()),
            ..forward.clone()
        };
        let reactions = of_kind("m.annotation", "m.reaction");
        assert_eq!(alice.children(&room, reactions).await.0.len(), 5);
        let none = of_kind("m.annotation", "m.room.message");
        assert_eq!(alice.children(&room, none).await.0.len(), 0);
        // A grandchild.
        let grandchild = bob
            .reacts(&room, (&*all[0]).try_into().unwrap(), "!")
            .await
            .unwrap();
        let since = bob.syncs(None).await.next_batch;
        let recurse = RelationsAsk {
            recurse: true,
            from: Some(since),
            ..ask(&parent)
        };
        let (ids, _) = alice.children(&room, recurse.clone()).await;
        assert_eq!((ids.len(), &ids[0]), (11, &grandchild.to_string()));
        alice.ignores(&[&bob]).await;
        assert_eq!(alice.children(&room, recurse).await.0.len(), 5);
        let stranger = house.person("stranger");
        let private = alice.creates("12", Preset::Private).await;
        let hidden = alice.says(&private, "hidden").await.unwrap();
        for (room, event) in [(&private, &hidden), (&room, &hidden)] {
            let refused = stranger
                .room(room)
                .await
                .relations(&stranger.requester, ask(event))
                .await;
            assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn threads_come_by_their_last_reply_and_an_ignored_root_without_its_content() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let mut roots = Vec::new();
        for n in 0..4 {
            let root = alice.says(&room, &n.to_string()).await.unwrap();
            alice.relates(&room, "m.thread", &root).await.unwrap();
            roots.push(root);
        }
        let last = bob.relates(&room, "m.thread", &roots[1]).await.unwrap();
        alice
            .edits(&room, &roots[0], "an edit does not count")
            .await;
        bob.reacts(&room, &last, "nor a reaction").await.unwrap();
        let threads = async |person: &Person, participated: bool, from: Option<String>, limit| {
            let ask = ThreadsAsk {
                from,
                participated,
                limit,
            };
            person
                .room(&room)
                .await
                .threads(&person.requester, ask)
                .await
                .unwrap()
        };
        let expected = [1, 3, 2, 0].map(|n: usize| roots[n].to_string());
        let page = threads(&alice, false, None, 50).await;
        assert_eq!(raw_ids(&page.chunk), expected);
        assert_eq!(page.next_batch, None);
        let first = threads(&alice, false, None, 3).await;
        let second = threads(&alice, false, first.next_batch, 3).await;
        assert_eq!(raw_ids(&second.chunk), expected[3..]);
        assert_eq!(second.next_batch, None);
        let own = threads(&bob, true, None, 50).await;
        assert_eq!(raw_ids(&own.chunk), expected[..1]);
        assert_eq!(threads(&alice, true, None, 50).await.chunk.len(), 4);
        // What ignored users have replied neither counts nor is the last word.
        let carol = house.person("carol");
        carol.joins(&room).await.unwrap();
        carol.ignores(&[&bob]).await;
        let page = threads(&carol, false, None, 1).await;
        let root: Value = page.chunk[0].deserialize_as_unchecked().unwrap();
        let thread = &root["unsigned"]["m.relations"]["m.thread"];
        assert_eq!(root["event_id"], roots[1].as_str());
        assert_eq!(thread["count"], 1);
        assert_eq!(thread["latest_event"]["sender"], "@alice:here");
        bob.ignores(&[&alice]).await;
        let page = threads(&bob, false, None, 1).await;
        let root: Value = page.chunk[0].deserialize_as_unchecked().unwrap();
        assert_eq!(root["content"], json!({}));
        assert_eq!(root["unsigned"]["m.relations"]["m.thread"]["count"], 1);
        let stranger = house.person("stranger");
        let private = alice.creates("12", Preset::Private).await;
        let ask = ThreadsAsk {
            from: None,
            participated: false,
            limit: 1,
        };
        let refused = stranger
            .room(&private)
            .await
            .threads(&stranger.requester, ask)
            .await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn the_messages_of_ignored_users_are_nowhere_but_their_state_stays() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let before = alice.syncs(None).await.next_batch;
        let said = bob.says(&room, "unheard").await.unwrap();
        alice.ignores(&[&bob, &alice]).await;
        alice.says(&room, "heard").await.unwrap();
        let synced = alice.syncs(Some(&before)).await;
        assert_eq!(bodies(&synced, &room), ["heard"]);
        let whole = alice.syncs(None).await;
        let joined = timeline(&whole, &room);
        assert!(
            joined.iter().any(|event| event["state_key"] == "@bob:here"),
            "{joined:?}"
        );
        let event = alice.room(&room).await.event(&alice.requester, &said).await;
        assert!(matches!(event, Err(Error::NotFound(_))), "{event:?}");
        let other = bob.creates("12", Preset::Private).await;
        bob.invites(&other, &alice).await.unwrap();
        for since in [None, Some(synced.next_batch.as_str())] {
            assert!(
                alice.syncs(since).await.rooms.invite.is_empty(),
                "{since:?}"
            );
        }
        alice.ignores(&[]).await;
        assert_eq!(alice.syncs(None).await.rooms.invite.len(), 1);
        let missed = alice.syncs(Some(&synced.next_batch)).await;
        assert!(bodies(&missed, &room).is_empty());
        let found = alice.room(&room).await.event(&alice.requester, &said).await;
        assert!(found.is_ok(), "{found:?}");
    }
}

#[tokio::test]
async fn a_filter_finds_events_by_what_relates_to_them() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let root = alice.says(&room, "root").await.unwrap();
        let liked = alice.says(&room, "liked").await.unwrap();
        let reply = bob.relates(&room, "m.thread", &root).await.unwrap();
        alice.reacts(&room, &liked, "👍").await.unwrap();
        let found = async |filter: Value| {
            let ask = MessagesAsk {
                from: None,
                to: None,
                direction: Direction::Forward,
                limit: 100,
                filter: serde_json::from_value(json!({ "types": ["m.room.message"] })).unwrap(),
                relations: RelationFilter::parse(&filter.to_string()).unwrap(),
            };
            let page = alice
                .room(&room)
                .await
                .messages(&alice.requester, ask)
                .await;
            raw_ids(&page.unwrap().chunk)
        };
        let (root, liked, reply) = (root.to_string(), liked.to_string(), reply.to_string());
        for (filter, expected) in [
            (json!({}), vec![&root, &liked, &reply]),
            (json!({ "related_by_rel_types": ["m.thread"] }), vec![&root]),
            (json!({ "related_by_rel_types": [] }), vec![]),
            (
                json!({ "related_by_senders": ["@alice:here"] }),
                vec![&liked],
            ),
            (
                json!({ "related_by_senders": ["@alice:here"], "related_by_rel_types": ["m.thread"] }),
                vec![],
            ),
            (
                json!({ "org.matrix.msc3874.rel_types": ["m.thread"] }),
                vec![&reply],
            ),
            (
                json!({ "not_rel_types": ["m.thread"] }),
                vec![&root, &liked],
            ),
        ] {
            let expected: Vec<String> = expected.into_iter().cloned().collect();
            assert_eq!(found(filter.clone()).await, expected, "{filter}");
        }
    }
}
