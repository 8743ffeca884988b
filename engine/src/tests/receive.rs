//! Receiving events: in one go, with what is missing, from servers that withhold and lie.

use std::time::Duration;

use futures_util::FutureExt as _;
use ruma::{OwnedEventId, OwnedRoomId, owned_server_name};
use spec::{
    event::{Draft, Event, Parent},
    json::{Object, Value},
    object,
    room_version::RoomVersion,
};
use storage::write::Outcome;
use tokio::sync::oneshot;

use super::{
    federation::{Pair, name, pairs, settled, state},
    fixture::{House, Person, bodies},
    push::listed,
    wire::{Lie, key_of},
};
use crate::{Preset, inbound::receive::Within};

fn version(id: &str) -> &'static RoomVersion {
    RoomVersion::get(id).unwrap()
}

/// An event of a room, as its server has it.
async fn event(house: &House, version: &RoomVersion, id: &str) -> Event {
    let store = &house.engine.context.store;
    let id: OwnedEventId = id.try_into().unwrap();
    let stored = storage::events::by_id(store.reader(), &id).await.unwrap();
    stored.unwrap().parse(version).unwrap()
}

/// What has become of an event; `None` if it is not stored.
async fn outcome(house: &House, event: &Event) -> Option<Outcome> {
    let store = &house.engine.context.store;
    let stored = storage::events::by_id(store.reader(), event.id()).await;
    stored.unwrap().map(|stored| stored.outcome)
}

fn pdu(event: &Event) -> Object {
    event.with_unsigned(None).object().clone()
}

/// Somebody of the other server who makes their events by hand.
struct Forger<'a> {
    pair: &'a Pair,
    room: OwnedRoomId,
    bob: Person,
    version: &'static RoomVersion,
    auth: Vec<Parent>,
}

impl<'a> Forger<'a> {
    async fn new(pair: &'a Pair, version_id: &str) -> (Self, Person) {
        let (room, alice, bob) = pair.joined_room(version_id).await;
        let version = version(version_id);
        let state = state(&alice, &room).await;
        let mut auth = Vec::new();
        for (event_type, key) in [
            ("m.room.create", ""),
            ("m.room.power_levels", ""),
            ("m.room.member", "@bob:there"),
        ] {
            let implied = version.auth.implied_create && event_type == "m.room.create";
            if !implied {
                let id = &state[&(event_type.to_owned(), key.to_owned())];
                auth.push(Parent::of(version, &event(&pair.here, version, id).await));
            }
        }
        let forger = Self {
            pair,
            room,
            bob,
            version,
            auth,
        };
        (forger, alice)
    }

    fn seal(&self, draft: Draft, prev: &[&Event], auth: &[Parent]) -> Event {
        let parents = prev.iter().map(|event| Parent::of(self.version, event));
        let parents: Vec<Parent> = parents.collect();
        let key = key_of(owned_server_name!("there"));
        let seed = format!("{}{:?}", draft.event_type, draft.content);
        let seed: String = seed.chars().filter(char::is_ascii_alphanumeric).collect();
        draft
            .seal(self.version, &parents, auth, 1_700_000_000_000, &seed, &key)
            .unwrap()
    }

    fn draft(&self, event_type: &str, state_key: Option<&str>, content: Object) -> Draft {
        Draft {
            room_id: Some(self.room.clone()),
            sender: self.bob.requester.user_id.clone(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(str::to_owned),
            content,
            redacts: None,
        }
    }

    fn message(&self, body: &str, prev: &[&Event]) -> Event {
        let content = object! { "body" => body, "msgtype" => "m.text" };
        self.seal(
            self.draft("m.room.message", None, content),
            prev,
            &self.auth,
        )
    }

    /// The only extremity of the room.
    async fn last(&self) -> Event {
        let handle = self.pair.here.engine.room(&self.room).await.unwrap();
        let ids = handle
            .run(|room| Box::pin(async move { Ok(room.extremity_ids()) }))
            .await
            .unwrap();
        event(&self.pair.here, self.version, ids[0].as_str()).await
    }

    async fn send(&self, events: &[&Event]) -> Vec<Result<(), String>> {
        let pdus = events.iter().map(|event| pdu(event)).collect();
        let inbound = self.pair.here.engine.inbound();
        let origin = name(&self.pair.there);
        let results = inbound.pdus(&origin, pdus).await.unwrap();
        settled(&self.pair.here).await;
        let result = |event: &&Event| results[event.id()].clone();
        events.iter().map(result).collect()
    }
}

/// A chain of messages, the first upon `start`.
fn chain(forger: &Forger<'_>, start: &Event, length: usize) -> Vec<Event> {
    let mut chain = vec![start.clone()];
    for n in 0..length {
        chain.push(forger.message(&n.to_string(), &[&chain[n]]));
    }
    chain.remove(0);
    chain
}

#[tokio::test]
async fn a_transaction_is_taken_in_at_once_whatever_order_it_is_in() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let since = alice.syncs(None).await.next_batch;
        // Not on disk perhaps when the others come.
        alice.says(&forger.room, "from here").await.unwrap();
        let mut events = chain(&forger, &forger.last().await, 49);
        events.reverse();
        let results = forger.send(&events.iter().collect::<Vec<_>>()).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen.last().unwrap(), "48");
        assert!(seen.is_sorted_by_key(|body| body.parse::<i32>().unwrap_or(-1)));
        assert_eq!(pair.script.count("missing_events"), 0);
        let again = forger.send(&events.iter().collect::<Vec<_>>()).await;
        assert!(
            again.iter().all(Result::is_ok),
            "a repetition changes nothing"
        );
        let end = alice.syncs(Some(&since)).await;
        assert_eq!(bodies(&end, &forger.room), seen);
    }
}

#[tokio::test]
async fn a_gap_that_can_be_filled_needs_no_state() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "10").await;
        let since = alice.syncs(None).await.next_batch;
        for n in 0..120 {
            forger.bob.says(&forger.room, &n.to_string()).await.unwrap();
        }
        let last = forger.bob.says(&forger.room, "last").await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[last]).await;
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen.last().unwrap(), "last");
        assert!(pair.script.count("missing_events") >= 3);
        assert_eq!(
            pair.script.count("state_ids") + pair.script.count("state"),
            0
        );
    }
}

#[tokio::test]
async fn a_flood_of_missing_events_ends_with_the_state() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let since = alice.syncs(None).await.next_batch;
        for n in 0..270 {
            forger.bob.says(&forger.room, &n.to_string()).await.unwrap();
        }
        let last = forger.bob.says(&forger.room, "last").await.unwrap();
        pair.deliver(&pair.there, &pair.here, &[last]).await;
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen.last().unwrap(), "last");
        assert!(pair.script.count("missing_events") <= 13);
        assert!(pair.script.count("state_ids") >= 1);
        assert_eq!(
            state(&alice, &forger.room).await,
            state(&forger.bob, &forger.room).await
        );
    }
}

#[tokio::test]
async fn what_waits_is_taken_in_after_a_restart() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "12").await;
        let gone = chain(&forger, &forger.last().await, 2);
        pair.script.play(|_| Some(Lie::Silence));
        let inbound = pair.here.engine.inbound();
        let answer = inbound
            .pdus(&name(&pair.there), vec![pdu(&gone[1])])
            .await
            .unwrap();
        assert_eq!(answer[gone[1].id()], Ok(()), "it is acknowledged");
        assert_eq!(*inbound.waiting().borrow(), 1);
        assert_eq!(outcome(&pair.here, &gone[1]).await, None);

        // It has been tried, and is left for later.
        while pair.script.count("state_ids") == 0 {
            tokio::task::yield_now().await;
        }
        let first = pdu(&gone[0]);
        pair.script.play(move |call| {
            (call.operation == "missing_events").then(|| Lie::Events(vec![first.clone()]))
        });
        let store = pair.here.engine.context.store.clone();
        let again = House::named(store, owned_server_name!("here"));
        pair.connect(&again);
        while outcome(&again, &gone[1]).await.is_none() {
            tokio::task::yield_now().await;
        }
        settled(&again).await;
        assert_eq!(outcome(&again, &gone[1]).await, Some(Outcome::Accepted));
    }
}

#[tokio::test]
async fn an_event_whose_parents_cannot_be_had_is_accepted_once_they_came() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let since = alice.syncs(None).await.next_batch;
        let events = chain(&forger, &forger.last().await, 2);
        let stranger = forger.message("of another branch", &[&events[1]]);
        let lies = vec![object! { "what" => "is this" }, pdu(&stranger)];
        pair.script.play(move |call| {
            let events = matches!(call.operation, "missing_events" | "event");
            Some(if events {
                Lie::Events(lies.clone())
            } else {
                Lie::Refusal
            })
        });
        assert_eq!(forger.send(&[&events[1]]).await, [Ok(())]);
        assert_eq!(outcome(&pair.here, &events[1]).await, None, "given up");
        assert_eq!(
            outcome(&pair.here, &stranger).await,
            None,
            "nobody asked for it"
        );
        forger.send(&[&events[0]]).await;
        forger.send(&[&events[1]]).await;
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen, ["0", "1"]);
    }
}

#[tokio::test]
async fn an_auth_event_that_cannot_be_had_drops_all_that_it_permits() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        let member = |n: &str| {
            let content = object! { "membership" => "join", "displayname" => n };
            forger.draft("m.room.member", Some("@bob:there"), content)
        };
        let lost = forger.seal(member("lost"), &[&last], &forger.auth);
        let mut auth = forger.auth.clone();
        let with = |auth: &mut Vec<Parent>, member: &Event| {
            auth.pop();
            auth.push(Parent::of(forger.version, member));
        };
        with(&mut auth, &lost);
        let upon = forger.seal(member("upon"), &[&last], &auth);
        with(&mut auth, &upon);
        let content = object! { "body" => "x", "msgtype" => "m.text" };
        let draft = forger.draft("m.room.message", None, content);
        let message = forger.seal(draft, &[&last], &auth);
        let known = pdu(&upon);
        let upon_id = upon.id().to_owned();
        pair.script.play(move |call| {
            let known = vec![known.clone()];
            let is_upon = call.event.as_ref() == Some(&upon_id);
            Some(match call.operation {
                "event_auth" => Lie::Events(known),
                "event" if is_upon => Lie::Events(known),
                _ => Lie::Refusal,
            })
        });
        assert_eq!(forger.send(&[&message]).await, [Ok(())]);
        for event in [&lost, &upon, &message] {
            assert_eq!(
                outcome(&pair.here, event).await,
                None,
                "{:?}",
                event.content()
            );
        }
        assert!(pair.script.count("event") <= 2);
    }
}

#[tokio::test]
async fn an_auth_chain_without_end_is_followed_only_so_far() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        // Each is permitted by the next one; they are handed out as they are asked for.
        let mut members: Vec<Event> = Vec::new();
        let mut auth = forger.auth.clone();
        for n in 0..150 {
            let content = object! { "membership" => "join", "displayname" => n };
            let draft = forger.draft("m.room.member", Some("@bob:there"), content);
            let member = forger.seal(draft, &[&last], &auth);
            auth.pop();
            auth.push(Parent::of(forger.version, &member));
            members.push(member);
        }
        let content = object! { "body" => "x", "msgtype" => "m.text" };
        let draft = forger.draft("m.room.message", None, content);
        let message = forger.seal(draft, &[&last], &auth);
        let first = members[0].id().to_owned();
        pair.script.play(move |call| {
            let asked = call.event.as_ref();
            let found = members
                .iter()
                .find(|member| Some(member.id()) == asked.map(AsRef::as_ref));
            match found {
                Some(member) if call.operation == "event" && asked != Some(&first) => {
                    Some(Lie::Events(vec![pdu(member)]))
                }
                _ => Some(Lie::Refusal),
            }
        });
        assert_eq!(forger.send(&[&message]).await, [Ok(())]);
        assert_eq!(outcome(&pair.here, &message).await, None);
        assert!(pair.script.count("event") <= 100);
    }
}

#[tokio::test]
async fn rejected_auth_events_reject_what_they_permit() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        // Bob may not change the name.
        let name = forger.draft("m.room.name", Some(""), object! { "name" => "Bob's" });
        let name = forger.seal(name, &[&last], &forger.auth);
        let forged = object! { "users" => object! { "@bob:there" => 100 } };
        let levels = forger.draft("m.room.power_levels", Some(""), forged);
        let levels = forger.seal(levels, &[&last], &forger.auth);
        let mut auth = forger.auth.clone();
        auth[1] = Parent::of(forger.version, &levels);
        let content = object! { "body" => "x", "msgtype" => "m.text" };
        let draft = forger.draft("m.room.message", None, content);
        let message = forger.seal(draft, &[&last], &auth);
        // First seen as an outlier.
        let chain = pdu(&levels);
        pair.script.play(move |call| {
            let is_chain = call.operation == "event_auth";
            is_chain.then(|| Lie::Events(vec![chain.clone()]))
        });
        assert_eq!(forger.send(&[&message]).await, [Ok(())]);
        assert_eq!(forger.send(&[&name, &levels]).await, [Ok(()), Ok(())]);
        for event in [&name, &levels, &message] {
            assert_eq!(outcome(&pair.here, event).await, Some(Outcome::Rejected));
        }
        // What builds on a rejected event may be accepted.
        let since = alice.syncs(None).await.next_batch;
        let later = forger.message("later", &[&levels, &name]);
        forger.send(&[&later]).await;
        assert_eq!(outcome(&pair.here, &later).await, Some(Outcome::Accepted));
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen, ["later"]);
        // PUSH-05: who was not heard rings at nobody's.
        assert_eq!(listed(&alice).await, [later.id()]);
    }
}

#[tokio::test]
async fn a_second_create_event_is_rejected() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let mut draft = forger.draft(
            "m.room.create",
            Some(""),
            object! { "room_version" => "11" },
        );
        draft.sender = "@eve:here".try_into().unwrap();
        let key = key_of(owned_server_name!("here"));
        let create = draft
            .seal(forger.version, &[], &[], 1, "seed", &key)
            .unwrap();
        forger.send(&[&create]).await;
        assert_eq!(outcome(&pair.here, &create).await, Some(Outcome::Rejected));
    }
}

#[tokio::test]
async fn what_was_soft_failed_can_be_built_upon() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let before = forger.last().await;
        let handle = alice.room(&forger.room).await;
        let target = super::fixture::target(&forger.bob);
        handle.ban(&alice.requester, target).await.unwrap();
        let since = alice.syncs(None).await.next_batch;
        let first = forger.message("first", &[&before]);
        let second = forger.message("second", &[&first]);
        assert_eq!(forger.send(&[&first, &second]).await, [Ok(()), Ok(())]);
        for event in [&first, &second] {
            assert_eq!(outcome(&pair.here, event).await, Some(Outcome::SoftFailed));
        }
        assert!(
            !forger
                .last()
                .await
                .prev_events()
                .contains(&first.id().to_owned())
        );
        let said = alice.says(&forger.room, "alone").await.unwrap();
        let synced = alice.syncs(Some(&since)).await;
        assert_eq!(bodies(&synced, &forger.room), ["alone"]);
        let said = event(&pair.here, forger.version, said.as_str()).await;
        assert!(!said.prev_events().contains(&second.id().to_owned()));
    }
}

#[tokio::test]
async fn an_outlier_gets_its_place_when_it_comes_with_its_parents() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        let content = object! { "membership" => "join", "displayname" => "Bob" };
        let draft = forger.draft("m.room.member", Some("@bob:there"), content);
        let member = forger.seal(draft, &[&last], &forger.auth);
        let handle = alice.room(&forger.room).await;
        let outlier = member.clone();
        handle
            .run(move |room| Box::pin(async move { room.store_outliers(vec![outlier]).await }))
            .await
            .unwrap();
        assert_eq!(outcome(&pair.here, &member).await, Some(Outcome::Outlier));
        assert_eq!(forger.last().await.id(), last.id());
        forger.send(&[&member]).await;
        assert_eq!(outcome(&pair.here, &member).await, Some(Outcome::Accepted));
        let key = ("m.room.member".to_owned(), "@bob:there".to_owned());
        assert_eq!(
            state(&alice, &forger.room).await[&key],
            member.id().as_str()
        );
        assert_eq!(forger.last().await.id(), member.id());
    }
}

#[tokio::test]
async fn every_event_with_an_id_is_answered() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        let good = forger.message("good", &[&last]);
        let mut unsigned = pdu(&forger.message("unsigned", &[&last]));
        unsigned.remove("signatures");
        let unsigned_id = Event::id_of(forger.version, &unsigned).unwrap();
        let mut tampered = pdu(&forger.message("tampered", &[&last]));
        tampered.insert("content".to_owned(), object! { "body" => "other" }.into());
        let tampered_id = Event::id_of(forger.version, &tampered).unwrap();
        let mut crowded = pdu(&good);
        let many: Vec<Value> = (0..21).map(|n| format!("$parent{n}").into()).collect();
        crowded.insert("prev_events".to_owned(), Value::Array(many));
        let crowded_id = Event::id_of(forger.version, &crowded).unwrap();
        let mut float = pdu(&good);
        float.insert("big".to_owned(), Value::from(i64::MAX));
        let unknown = object! { "room_id" => "!unknown:there", "event_id" => "$old:there" };
        let hashed = object! { "room_id" => "!unknown:there", "type" => "m.room.message" };
        let left = alice.creates("11", Preset::Public).await;
        alice.leaves(&left).await.unwrap();
        let elsewhere = object! { "room_id" => left.as_str(), "type" => "m.room.message" };
        let elsewhere_id = Event::id_of(forger.version, &elsewhere).unwrap();
        let pdus = vec![
            unsigned,
            tampered,
            crowded,
            float,
            unknown,
            hashed,
            elsewhere,
            pdu(&good),
            Object::new(),
        ];
        let inbound = pair.here.engine.inbound();
        let results = inbound.pdus(&name(&pair.there), pdus).await.unwrap();
        let old: OwnedEventId = "$old:there".try_into().unwrap();
        for refused in [&unsigned_id, &crowded_id, &elsewhere_id, &old] {
            assert!(results[refused].is_err(), "{refused}");
        }
        for taken in [good.id(), &tampered_id] {
            assert_eq!(results[taken], Ok(()), "{taken}");
        }
        assert_eq!(results.len(), 6, "{results:?}");
        let tampered = event(&pair.here, forger.version, tampered_id.as_str()).await;
        assert!(
            tampered.content().is_empty(),
            "only what was signed is kept"
        );

        let acl = object! { "allow" => vec![Value::from("here")] };
        let handle = alice.room(&forger.room).await;
        let acl = crate::SetState {
            event_type: "m.room.server_acl".to_owned(),
            state_key: String::new(),
            content: acl,
        };
        handle.set_state(&alice.requester, acl).await.unwrap();
        let denied = forger.message("denied", &[&good]);
        let results = inbound
            .pdus(&name(&pair.there), vec![pdu(&denied)])
            .await
            .unwrap();
        assert!(results[denied.id()].is_err());
        assert_eq!(outcome(&pair.here, &denied).await, None);
    }
}

#[tokio::test]
async fn other_servers_in_the_room_are_asked_too() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let store = storage::Store::in_memory().await.unwrap();
        let third = House::named(store, owned_server_name!("third"));
        pair.connect(&third);
        let carol = third.person("carol");
        let via = vec![name(&pair.here)];
        let joined = carol
            .engine
            .join(&carol.requester, &forger.room, via, None, Object::new());
        joined.await.unwrap();
        let since = alice.syncs(None).await.next_batch;
        let events = chain(&forger, &forger.last().await, 3);
        let there = name(&pair.there);
        let inbound = third.engine.inbound();
        let results = inbound.pdus(&there, events.iter().map(pdu).collect());
        assert!(results.await.unwrap().values().all(Result::is_ok));
        pair.script
            .play(|call| (call.to == "there").then_some(Lie::Silence));
        forger.send(&[&events[2]]).await;
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen, ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn an_event_that_comes_by_several_routes_is_processed_once() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let since = alice.syncs(None).await.next_batch;
        let events = chain(&forger, &forger.last().await, 3);
        let pdus: Vec<Object> = events.iter().map(pdu).collect();
        let inbound = pair.here.engine.inbound();
        let there = name(&pair.there);
        let asks = (0..8).map(|_| inbound.pdus(&there, pdus.clone()));
        for results in futures_util::future::join_all(asks).await {
            let results = results.unwrap();
            assert!(results.values().all(Result::is_ok), "{results:?}");
        }
        settled(&pair.here).await;
        let seen = bodies(&alice.syncs(Some(&since)).await, &forger.room);
        assert_eq!(seen, ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn a_room_that_is_slow_does_not_hold_up_the_answer() {
    for pair in pairs().await {
        let (forger, alice) = Forger::new(&pair, "11").await;
        let message = forger.message("late", &[&forger.last().await]);
        let (release, held) = oneshot::channel::<()>();
        let (started, busy) = oneshot::channel::<()>();
        let handle = alice.room(&forger.room).await;
        let blocked = tokio::spawn(async move {
            let block = handle.run(move |_| {
                Box::pin(async move {
                    started.send(()).unwrap();
                    held.await.unwrap();
                    Ok(())
                })
            });
            block.await
        });
        busy.await.unwrap();
        let inbound = pair.here.engine.inbound();
        let there = name(&pair.there);
        let soon = Within {
            keys: Duration::from_secs(60),
            room: Duration::from_millis(1),
        };
        let results = inbound
            .pdus_within(soon, &there, vec![pdu(&message)])
            .await
            .unwrap();
        assert_eq!(results[message.id()], Ok(()));
        assert_eq!(
            outcome(&pair.here, &message).await,
            None,
            "the room is busy"
        );
        release.send(()).unwrap();
        blocked.await.unwrap().unwrap();
        settled(&pair.here).await;
        assert_eq!(outcome(&pair.here, &message).await, Some(Outcome::Accepted));
    }
}

impl Forger<'_> {
    /// A message of somebody whose server is neither of the two.
    fn comes_from_afar(&self, last: &Event) -> Event {
        let content = object! { "body" => "from afar", "msgtype" => "m.text" };
        let mut draft = self.draft("m.room.message", None, content);
        draft.sender = "@carol:afar".try_into().unwrap();
        let parents = [Parent::of(self.version, last)];
        let key = key_of(owned_server_name!("afar"));
        let afar = draft.seal(self.version, &parents, &self.auth, 1, "afar", &key);
        afar.unwrap()
    }
}

/// FTXN-02: it may take longer than a room may, and what needs it not is taken in meanwhile.
#[tokio::test]
async fn a_key_that_comes_late_is_waited_for() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        let (afar, near) = (
            forger.comes_from_afar(&last),
            forger.message("near", &[&last]),
        );
        let keyless = &pair.script.keyless;
        keyless.lock().unwrap().insert(owned_server_name!("afar"));
        let inbound = pair.here.engine.inbound();
        let there = name(&pair.there);
        let within = Within {
            keys: Duration::from_secs(60),
            room: Duration::ZERO,
        };
        let told = async {
            while outcome(&pair.here, &near).await.is_none() {
                tokio::task::yield_now().await;
            }
            keyless.lock().unwrap().clear();
        };
        let taken = inbound.pdus_within(within, &there, vec![pdu(&afar), pdu(&near)]);
        let (results, ()) = tokio::join!(taken, told);
        let results = results.unwrap();
        for event in [&afar, &near] {
            assert_eq!(results[event.id()], Ok(()));
        }
    }
}

#[tokio::test]
async fn a_key_that_does_not_come_holds_up_only_what_it_signed() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let last = forger.last().await;
        let message = forger.message("in time", &[&last]);
        let afar = forger.comes_from_afar(&last);
        let keyless = &pair.script.keyless;
        keyless.lock().unwrap().insert(owned_server_name!("afar"));
        let inbound = pair.here.engine.inbound();
        let there = name(&pair.there);
        let pdus = vec![pdu(&afar), pdu(&message)];
        let soon = Within {
            keys: Duration::from_millis(20),
            room: Duration::from_secs(60),
        };
        let results = inbound.pdus_within(soon, &there, pdus).await.unwrap();
        assert!(results[afar.id()].is_err());
        assert_eq!(results[message.id()], Ok(()));
    }
}

/// A whole state may fill much memory: only so many are fetched at once, whatever the rooms.
#[tokio::test]
async fn a_whole_state_waits_for_its_turn() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let events = chain(&forger, &forger.last().await, 2);
        let (gone, last) = (pdu(&events[0]), events[1].clone());
        pair.script.play(move |call| match call.operation {
            "missing_events" => Some(Lie::Events(Vec::new())),
            "event" => Some(Lie::Events(vec![gone.clone()])),
            "state_ids" => Some(Lie::Refusal),
            _ => None,
        });
        let whole_states = &pair.here.engine.context.whole_states;
        let mut turns = Vec::new();
        while let Some(turn) = whole_states.turn().now_or_never() {
            turns.push(turn);
        }
        let inbound = pair.here.engine.inbound();
        let there = name(&pair.there);
        inbound.pdus(&there, vec![pdu(&last)]).await.unwrap();
        while pair.script.count("state_ids") == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pair.script.count("state"), 0, "it waits");
        turns.pop();
        while pair.script.count("state") == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_acknowledged() {
    for pair in pairs().await {
        let (forger, _) = Forger::new(&pair, "11").await;
        let events = chain(&forger, &forger.last().await, 2);
        let inbound = pair.here.engine.inbound();
        pair.here.engine.context.store.close().await;
        for event in &events {
            let taken = inbound.pdus(&name(&pair.there), vec![pdu(event)]).await;
            assert!(matches!(taken, Err(crate::Error::Store(_))), "{taken:?}");
        }
        assert_eq!(*inbound.waiting().borrow(), 0);
    }
}
