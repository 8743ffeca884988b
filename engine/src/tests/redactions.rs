//! Redactions that come from other servers, before and after their events.

use ruma::{EventId, OwnedEventId, OwnedRoomId, api::client::sync::sync_events::v3::Response};
use serde_json::{Value, json};
use spec::{
    event::{Draft, Event},
    object,
};

use super::{
    federation::{name, pairs, settled},
    fixture::{House, Person},
};
use crate::{Error, Preset, Redact, SetState, SyncAsk};

/// Two versions for each way of handling redactions.
const VERSIONS: [&str; 4] = ["1", "2", "3", "11"];

/// An event by `person` upon the head of their server's room, which that does not keep.
pub(super) async fn drafts(person: &Person, room: &OwnedRoomId, draft: Draft) -> Event {
    let room = person.room(room).await;
    room.run(move |room| Box::pin(async move { room.propose(draft).await }))
        .await
        .unwrap()
}

pub(super) fn message(person: &Person, room: &OwnedRoomId, body: &str) -> Draft {
    Draft {
        room_id: Some(room.clone()),
        sender: person.requester.user_id.clone(),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: object! { "body" => body, "msgtype" => "m.text" },
        redacts: None,
    }
}

fn redaction(person: &Person, room: &OwnedRoomId, target: &EventId) -> Draft {
    Draft {
        event_type: "m.room.redaction".to_owned(),
        content: object! { "reason" => "spam" },
        redacts: Some(target.to_owned()),
        ..message(person, room, "")
    }
}

async fn redacts(
    person: &Person,
    room: &OwnedRoomId,
    target: &EventId,
) -> crate::Result<OwnedEventId> {
    let ask = Redact {
        event_id: target.to_owned(),
        content: object! { "reason" => "spam" },
        txn_id: None,
    };
    person.room(room).await.redact(&person.requester, ask).await
}

/// Brings events to a server as they are.
pub(super) async fn brings(from: &House, to: &House, events: &[&Event]) {
    for event in events {
        let pdus = vec![event.with_unsigned(None).object().clone()];
        drop(to.engine.inbound().pdus(&name(from), pdus).await.unwrap());
        settled(to).await;
    }
}

/// Has the worker of a room forget it and read it again, as after a restart.
async fn reads_anew(person: &Person, room: &OwnedRoomId) {
    let room = person.room(room).await;
    let lost = room.run(|room| {
        Box::pin(async move {
            // A job that fails with something in hand has lost its way.
            let redaction = storage::EventRow(0);
            room.also(storage::Plain::RedactionApplied { redaction });
            Err::<(), _>(Error::Internal("lost".to_owned()))
        })
    });
    assert!(lost.await.is_err());
}

/// An event as a client sees it; `None` if it does not.
async fn seen(person: &Person, room: &OwnedRoomId, id: &EventId) -> Option<Value> {
    let event = person.room(room).await.event(&person.requester, id).await;
    match event {
        Ok(raw) => Some(raw.deserialize_as_unchecked::<Value>().unwrap()),
        Err(Error::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn timeline(response: &Response, room: &OwnedRoomId) -> Vec<Value> {
    let joined = response.rooms.join.get(room);
    let events = joined.map(|joined| joined.timeline.events.as_slice());
    events
        .unwrap_or_default()
        .iter()
        .map(|event| event.deserialize_as_unchecked::<Value>().unwrap())
        .collect()
}

pub(super) fn ids(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

#[tokio::test]
async fn a_received_redaction_applies_by_level_or_by_server() {
    for pair in pairs().await {
        for version in VERSIONS {
            let (room, alice, bob) = pair.joined_room(version).await;
            let carol = pair.here.person("carol");
            let joined = carol.joins(&room).await.unwrap();
            let (of_bob, of_alice, other) = (
                bob.says(&room, "bob's").await.unwrap(),
                alice.says(&room, "alice's").await.unwrap(),
                alice.says(&room, "another").await.unwrap(),
            );
            pair.deliver(&pair.there, &pair.here, std::slice::from_ref(&of_bob))
                .await;
            pair.deliver(
                &pair.here,
                &pair.there,
                &[joined, of_alice.clone(), other.clone()],
            )
            .await;
            let since = bob.syncs(None).await.next_batch;
            // The redact level; the same server; neither.
            let by_alice = redacts(&alice, &room, &of_bob).await.unwrap();
            pair.deliver(&pair.here, &pair.there, std::slice::from_ref(&by_alice))
                .await;
            let by_carol = drafts(&carol, &room, redaction(&carol, &room, &of_alice)).await;
            brings(&pair.here, &pair.there, &[&by_carol]).await;
            for (target, by) in [(&of_bob, &*by_alice), (&of_alice, by_carol.id())] {
                let event = seen(&bob, &room, target).await.unwrap();
                assert_eq!(event["content"], json!({}), "{version}");
                assert_eq!(
                    event["unsigned"]["redacted_because"]["event_id"],
                    by.as_str(),
                    "{version}"
                );
                assert!(seen(&bob, &room, by).await.is_some(), "{version}");
            }
            let news = bob.syncs(Some(&since)).await;
            assert_eq!(
                ids(&timeline(&news, &room)),
                [by_alice.as_str(), by_carol.id().as_str()],
                "{version}"
            );
            let of_rule = ["1", "2"].contains(&version);
            if of_rule {
                continue;
            }
            let since = alice.syncs(None).await.next_batch;
            let by_bob = drafts(&bob, &room, redaction(&bob, &room, &other)).await;
            brings(&pair.there, &pair.here, &[&by_bob]).await;
            let untouched = seen(&alice, &room, &other).await.unwrap();
            assert_eq!(untouched["content"]["body"], "another", "{version}");
            assert!(
                seen(&alice, &room, by_bob.id()).await.is_none(),
                "{version}"
            );
            assert!(
                timeline(&alice.syncs(Some(&since)).await, &room).is_empty(),
                "{version}"
            );
        }
    }
}

#[tokio::test]
async fn a_redaction_waits_for_its_event_over_a_restart_too() {
    for pair in pairs().await {
        for version in VERSIONS {
            for restarts in [false, true] {
                let (room, alice, bob) = pair.joined_room(version).await;
                let since = bob.syncs(None).await.next_batch;
                let target = drafts(&alice, &room, message(&alice, &room, "secret")).await;
                let first = drafts(&alice, &room, redaction(&alice, &room, target.id())).await;
                let second = drafts(&alice, &room, redaction(&alice, &room, target.id())).await;
                brings(&pair.here, &pair.there, &[&first, &second]).await;
                let quiet = bob.syncs(Some(&since)).await;
                assert!(timeline(&quiet, &room).is_empty(), "{version}");
                assert!(seen(&bob, &room, first.id()).await.is_none(), "{version}");
                if restarts {
                    reads_anew(&bob, &room).await;
                }
                brings(&pair.here, &pair.there, &[&target]).await;
                // A token that points behind a redaction of an unknown event goes on working.
                let news = timeline(&bob.syncs(Some(&quiet.next_batch)).await, &room);
                assert_eq!(ids(&news), [target.id().as_str()], "{version}");
                assert_eq!(news[0]["content"], json!({}), "{version}");
                for by in [&first, &second] {
                    assert!(seen(&bob, &room, by.id()).await.is_some(), "{version}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_redaction_and_its_event_may_come_in_one_transaction() {
    for pair in pairs().await {
        for reversed in [false, true] {
            let (room, alice, bob) = pair.joined_room("11").await;
            let target = drafts(&alice, &room, message(&alice, &room, "secret")).await;
            let by = drafts(&alice, &room, redaction(&alice, &room, target.id())).await;
            let mut pdus = vec![target.object().clone(), by.object().clone()];
            if reversed {
                pdus.reverse();
            }
            drop(
                pair.there
                    .engine
                    .inbound()
                    .pdus(&name(&pair.here), pdus)
                    .await
                    .unwrap(),
            );
            let event = seen(&bob, &room, target.id()).await.unwrap();
            assert_eq!(event["content"], json!({}), "reversed: {reversed}");
        }
    }
}

#[tokio::test]
async fn an_event_that_the_server_does_not_have_is_redacted_when_it_comes() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let secret = bob.says(&room, "secret").await.unwrap();
        let since = alice.syncs(None).await.next_batch;
        let by = redacts(&alice, &room, &secret).await.unwrap();
        let ask = SyncAsk {
            since: Some(since),
            ..SyncAsk::default()
        };
        let quiet = alice.engine.sync(&alice.requester, &ask).await.unwrap();
        assert!(timeline(&quiet, &room).is_empty());
        pair.deliver(&pair.here, &pair.there, std::slice::from_ref(&by))
            .await;
        assert_eq!(
            seen(&bob, &room, &secret).await.unwrap()["content"],
            json!({})
        );
        pair.deliver(&pair.there, &pair.here, std::slice::from_ref(&secret))
            .await;
        let news = timeline(&alice.syncs(Some(&quiet.next_batch)).await, &room);
        assert_eq!(ids(&news), [secret.as_str()]);
        assert_eq!(news[0]["content"], json!({}));
        assert_eq!(
            news[0]["unsigned"]["redacted_because"]["event_id"],
            by.as_str()
        );
    }
}

#[tokio::test]
async fn an_event_of_another_room_is_not_redacted() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let (other, ..) = pair.joined_room("11").await;
        let elsewhere = alice.says(&other, "elsewhere").await.unwrap();
        pair.deliver(&pair.here, &pair.there, std::slice::from_ref(&elsewhere))
            .await;
        let refused = redacts(&alice, &room, &elsewhere).await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
        let forged = drafts(&alice, &room, redaction(&alice, &room, &elsewhere)).await;
        brings(&pair.here, &pair.there, &[&forged]).await;
        for person in [&alice, &bob] {
            let event = seen(person, &other, &elsewhere).await.unwrap();
            assert_eq!(event["content"]["body"], "elsewhere");
            assert!(seen(person, &room, forged.id()).await.is_none());
        }
    }
}

#[tokio::test]
async fn redacting_a_redaction_takes_its_reason_and_gives_nothing_back() {
    for pair in pairs().await {
        for version in VERSIONS {
            let (room, alice, bob) = pair.joined_room(version).await;
            let secret = alice.says(&room, "secret").await.unwrap();
            let first = redacts(&alice, &room, &secret).await.unwrap();
            pair.deliver(&pair.here, &pair.there, &[secret.clone(), first.clone()])
                .await;
            let second = redacts(&alice, &room, &first).await.unwrap();
            pair.deliver(&pair.here, &pair.there, &[second]).await;
            for person in [&alice, &bob] {
                let event = seen(person, &room, &secret).await.unwrap();
                assert_eq!(event["content"], json!({}), "{version}");
                let event = seen(person, &room, &first).await.unwrap();
                assert!(
                    event["content"].get("reason").is_none(),
                    "{version}: {event}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_event_without_a_place_in_the_room_is_redacted_like_any() {
    for pair in pairs().await {
        let (alice, bob) = (pair.here.person("alice"), pair.there.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        let ask = SetState {
            event_type: "m.room.topic".to_owned(),
            state_key: String::new(),
            content: object! { "topic" => "secret" },
        };
        let topic = alice
            .room(&room)
            .await
            .set_state(&alice.requester, ask)
            .await
            .unwrap();
        let via = vec![name(&pair.here)];
        let joined = bob
            .engine
            .join(&bob.requester, &room, via, None, object! {})
            .await;
        joined.unwrap();
        let by = redacts(&alice, &room, &topic).await.unwrap();
        pair.deliver(&pair.here, &pair.there, &[by]).await;
        let shown = bob
            .room(&room)
            .await
            .state_event(&bob.requester, "m.room.topic", "")
            .await;
        let shown: Value = shown.unwrap().deserialize_as_unchecked().unwrap();
        assert_eq!(shown["content"], json!({}));
    }
}

/// What a person is called in a room, by the list of its members.
async fn called(seen_by: &Person, room: &OwnedRoomId, whom: &Person) -> Option<String> {
    let handle = seen_by.room(room).await;
    let members = handle.joined_members(&seen_by.requester).await.unwrap();
    let mut members = members.into_iter();
    let found = members.find(|member| member.user_id == whom.requester.user_id);
    found.expect("they are in the room").displayname
}

/// REDACT-06: a name that was redacted is not in the lists of members either, nor found by those who look for people.
#[tokio::test]
async fn a_redacted_name_is_gone_from_all_lists() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("11").await;
        let named = SetState {
            event_type: "m.room.member".to_owned(),
            state_key: alice.requester.user_id.to_string(),
            content: object! { "membership" => "join", "displayname" => "Rudeword" },
        };
        let handle = alice.room(&room).await;
        let named = handle.set_state(&alice.requester, named).await.unwrap();
        pair.deliver(&pair.here, &pair.there, std::slice::from_ref(&named))
            .await;
        let found = async || {
            let people = bob.engine.search_users(&bob.requester, "Rudeword", None);
            people.await.unwrap().found.len()
        };
        for person in [&alice, &bob] {
            assert_eq!(
                called(person, &room, &alice).await.as_deref(),
                Some("Rudeword")
            );
        }
        assert_eq!(found().await, 1);
        let by = redacts(&alice, &room, &named).await.unwrap();
        pair.deliver(&pair.here, &pair.there, &[by]).await;
        for person in [&alice, &bob] {
            assert_eq!(called(person, &room, &alice).await, None);
        }
        assert_eq!(found().await, 0);
    }
}

/// Power levels count as they are left as soon as they are redacted, and not only when the room is read again.
#[tokio::test]
async fn redacted_power_levels_count_at_once() {
    for house in super::fixture::houses().await {
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| house.person(name));
        // In this version nothing is left of the level for invites.
        let room = alice.creates("10", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let levels = object! {
            "invite" => 100, "users" => object! { "@alice:here" => 100 },
        };
        let set = SetState {
            event_type: "m.room.power_levels".to_owned(),
            state_key: String::new(),
            content: levels,
        };
        let handle = alice.room(&room).await;
        let levels = handle.set_state(&alice.requester, set).await.unwrap();
        let refused = bob.invites(&room, &carol).await;
        assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
        redacts(&alice, &room, &levels).await.unwrap();
        bob.invites(&room, &carol).await.unwrap();
    }
}

/// ACCEPT-03: what a room cannot do without is not redacted by users of this server.
#[tokio::test]
async fn create_events_and_access_lists_are_not_redacted() {
    for house in super::fixture::houses().await {
        let alice = house.person("alice");
        for version in ["1", "11"] {
            let room = alice.creates(version, Preset::Public).await;
            let handle = alice.room(&room).await;
            let everybody = spec::json::Value::Array(vec!["*".into()]);
            let set = SetState {
                event_type: "m.room.server_acl".to_owned(),
                state_key: String::new(),
                content: object! { "allow" => everybody },
            };
            let list = handle.set_state(&alice.requester, set).await.unwrap();
            let create = handle
                .state_event(&alice.requester, "m.room.create", "")
                .await;
            let create: Value = serde_json::from_str(create.unwrap().json().get()).unwrap();
            let create = EventId::parse(create["event_id"].as_str().unwrap()).unwrap();
            for id in [&list, &create] {
                let refused = redacts(&alice, &room, id).await;
                assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
            }
        }
    }
}
