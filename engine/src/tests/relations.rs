//! Events that relate to others.

use ruma::{EventId, OwnedEventId, OwnedRoomId};
use spec::{event::Draft, json::Object, object};

use super::{
    fixture::{Person, houses},
    redactions::message,
};
use crate::{Error, Preset, Redact, Result, Send};

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
            assert_eq!(thread, is_in.then_some(&root), "{id} by its ID");
            let wanted = id.clone();
            let by_worker = handle.run(move |room| {
                Box::pin(async move {
                    let known = room.target(&wanted).await?.expect("it is stored");
                    room.thread_of(&known.event).await
                })
            });
            assert_eq!(
                by_worker.await.unwrap().as_ref(),
                thread,
                "{id} for the worker"
            );
        }
    }
}

#[tokio::test]
async fn the_worker_follows_relations_of_events_that_are_not_written_yet() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let root = alice.says(&room, "root").await.unwrap();
        let handle = alice.room(&room).await;
        let draft = |rel_type: &str, parent: &EventId| Draft {
            content: object! { "m.relates_to" => relates(rel_type, parent) },
            ..message(&alice, &room, "")
        };
        let (reply, template) = (draft("m.thread", &root), draft("m.reference", &root));
        let found = handle.run(move |room| {
            Box::pin(async move {
                let reply = room.append(reply, None).await?;
                let relates_to = relates("m.reference", reply.event.id());
                let draft = Draft {
                    content: object! { "m.relates_to" => relates_to },
                    ..template
                };
                let edit = room.append(draft, None).await?;
                let thread = room.thread_of(&edit.event).await?;
                Ok((thread, room.commit().await))
            })
        });
        let (found, pending) = found.await.unwrap();
        pending.wait().await.unwrap();
        assert_eq!(found, Some(root));
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
