//! Who is there, for those who share a room: in sync, and between servers.

use ruma::api::client::sync::sync_events::v3::Response;
use spec::{json::Value, object};

use super::{
    federation::pairs,
    fixture::{House, Person, START_MS, houses, with_account},
};
use crate::{PresenceSettings, PresenceState, Preset, SyncAsk};

async fn syncs(person: &Person, since: Option<&str>) -> Response {
    let ask = SyncAsk {
        since: since.map(str::to_owned),
        presence: PresenceState::Online,
        ..SyncAsk::default()
    };
    person.engine.sync(&person.requester, &ask).await.unwrap()
}

/// Of whom a sync says something.
fn of(response: &Response) -> Vec<String> {
    let events = response.presence.events.iter();
    let senders = events.map(|event| event.get_field::<String>("sender").unwrap().unwrap());
    senders.collect()
}

async fn state(by: &Person, of: &Person) -> PresenceState {
    let seen = by
        .engine
        .presence(&by.requester, &of.requester.user_id)
        .await;
    seen.unwrap().state
}

#[tokio::test]
async fn a_waiting_client_is_woken_only_if_it_looks_for_presence() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let since = syncs(&alice, None).await.next_batch;
        let waits = |filter: &str| SyncAsk {
            since: Some(since.clone()),
            timeout: std::time::Duration::from_secs(60),
            filter: serde_json::from_str(filter).unwrap(),
            ..SyncAsk::default()
        };
        let (looking, away) = (waits("{}"), waits(r#"{"presence":{"types":[]}}"#));
        let presence = alice.engine.context.presence.clone();
        let wake = async {
            // Until the client waits.
            while presence.shown(&bob.requester.user_id).is_none() {
                bob.engine
                    .set_presence(&bob.requester, PresenceState::Busy, None)
                    .unwrap();
                tokio::task::yield_now().await;
            }
            loop {
                presence.pass().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            seen = alice.engine.sync(&alice.requester, &looking) => {
                assert_eq!(of(&seen.unwrap()), ["@bob:here"]);
            }
            seen = alice.engine.sync(&alice.requester, &away) => panic!("woken: {seen:?}"),
            () = wake => {}
        }
    }
}

#[tokio::test]
async fn nobody_is_there_who_only_shares_a_server() {
    for house in houses().await {
        let (alice, eve) = (house.person("alice"), house.person("eve"));
        let room = alice.creates("12", Preset::Public).await;
        let start = syncs(&alice, None).await;
        assert_eq!(of(&start), ["@alice:here"]);
        let of_eve = syncs(&eve, None).await;
        assert_eq!(of(&of_eve), ["@eve:here"]);
        let later = syncs(&alice, Some(&start.next_batch)).await;
        assert!(of(&later).is_empty(), "{later:?}");
        eve.joins(&room).await.unwrap();
        let met = syncs(&alice, Some(&later.next_batch)).await;
        assert_eq!(of(&met), ["@eve:here"]);
        eve.leaves(&room).await.unwrap();
        eve.engine
            .set_presence(&eve.requester, PresenceState::Busy, None)
            .unwrap();
        let after = syncs(&alice, Some(&met.next_batch)).await;
        assert!(of(&after).is_empty(), "{after:?}");
    }
}

#[tokio::test]
async fn another_server_speaks_only_for_its_own_users_and_those_who_are_here() {
    for pair in pairs().await {
        let (_, alice, bob) = pair.joined_room("12").await;
        let carol = pair.there.person("carol");
        let push = |user: &Person, state: &str| {
            object! {
                "user_id" => user.requester.user_id.as_str(),
                "presence" => state,
                "last_active_ago" => 5,
                "currently_active" => true,
            }
        };
        let entries = [
            push(&bob, "online"),
            push(&alice, "unavailable"),
            push(&carol, "online"),
            push(&bob, "asleep"),
            object! { "user_id" => 7 },
        ];
        let entries = entries.into_iter().map(Value::Object).collect();
        let content = object! { "push" => Value::Array(entries) };
        let edu = object! { "edu_type" => "m.presence", "content" => content };
        let there = pair.there.engine.server_name().to_owned();
        pair.here.engine.inbound().edus(&there, vec![edu]).await;
        assert_eq!(state(&alice, &bob).await, PresenceState::Online);
        assert_eq!(
            state(&alice, &alice).await,
            PresenceState::Offline,
            "not theirs"
        );
        let shown = pair
            .here
            .engine
            .context
            .presence
            .shown(&carol.requester.user_id);
        assert_eq!(shown, None, "she is in no room here");
        let seen = syncs(&alice, None).await;
        assert_eq!(of(&seen), ["@alice:here", "@bob:there"]);
    }
}

/// What a sync says of somebody, if it does.
fn said(response: &Response, of: &Person) -> Option<serde_json::Value> {
    let events = response.presence.events.iter();
    let mut events = events.map(|event| event.deserialize_as_unchecked().unwrap());
    events.find(|event: &serde_json::Value| event["sender"] == of.requester.user_id.as_str())
}

/// Behaviours PRES-01 and SYNC-22: over a restart nobody stays there who does not come back, and what one says stays.
#[tokio::test]
async fn whoever_was_there_before_a_restart_goes_if_they_do_not_come_back() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let status = Some("in the garden".to_owned());
        bob.engine
            .set_presence(&bob.requester, PresenceState::Busy, status)
            .unwrap();
        let since = syncs(&alice, None).await.next_batch;
        house.engine.store_presence().await;

        let store = house.engine.context.store.clone();
        let mut settings = crate::Settings::new(ruma::owned_server_name!("here"));
        let again = House::set_up_at(START_MS + 1_000, store.clone(), settings.clone());
        let presence = &again.engine.context.presence;
        presence.restore().await;
        let alice = again.person("alice");
        let there = syncs(&alice, Some(&since)).await;
        let content = said(&there, &bob).expect("he is there still");
        assert_eq!(content["content"]["status_msg"], "in the garden");
        assert_ne!(content["content"]["presence"], "offline");
        again.clock.advance(31_000);
        presence.pass().await;
        let gone = syncs(&alice, Some(&there.next_batch)).await;
        let content = said(&gone, &bob).expect("he is told of");
        assert_eq!(content["content"]["presence"], "offline");
        assert_eq!(content["content"]["status_msg"], "in the garden");

        // The operator switches it off: whoever seemed to be there is gone, once.
        again.engine.store_presence().await;
        settings.presence = PresenceSettings {
            enabled: false,
            ..PresenceSettings::default()
        };
        for told in [true, false] {
            let now_ms = START_MS + 60_000;
            let off = House::set_up_at(now_ms, store.clone(), settings.clone());
            off.engine.context.presence.restore().await;
            let by = off.person("bob");
            let sync = syncs(&by, Some(&since)).await;
            let of_alice = said(&sync, &alice);
            assert_eq!(of_alice.is_some(), told, "{sync:?}");
            if let Some(content) = of_alice {
                assert_eq!(content["content"]["presence"], "offline");
            }
        }
    }
}

/// Behaviour PRES-04.
#[tokio::test]
async fn in_a_quiet_room_nobody_sees_who_is_there() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let quiet = alice.creates("12", Preset::Public).await;
        bob.joins(&quiet).await.unwrap();
        let mut settings = crate::Settings::new(ruma::owned_server_name!("here"));
        settings.presence.quiet_rooms.push(quiet.clone());
        let store = house.engine.context.store.clone();
        let again = House::set_up_at(START_MS + 1_000, store, settings);
        let (alice, bob) = (again.person("alice"), again.person("bob"));
        let presence = &again.engine.context.presence;
        let start = syncs(&alice, None).await.next_batch;
        syncs(&bob, None).await;
        let seen = syncs(&alice, Some(&start)).await;
        assert!(said(&seen, &bob).is_none(), "{seen:?}");
        let asked = again
            .engine
            .presence(&alice.requester, &bob.requester.user_id);
        assert!(matches!(asked.await, Err(crate::Error::Forbidden(_))));
        let news = again.engine.presence_of_all().await.unwrap();
        assert!(news.iter().all(|news| news.rooms.is_empty()), "{news:?}");

        // By another room they see it, all the same.
        let loud = alice.creates("12", Preset::Public).await;
        bob.joins(&loud).await.unwrap();
        let met = syncs(&alice, Some(&seen.next_batch)).await;
        assert!(said(&met, &bob).is_some(), "{met:?}");
        assert_eq!(state(&alice, &bob).await, PresenceState::Online);
        let rooms = presence.rooms_of(std::slice::from_ref(&bob.requester.user_id));
        assert_eq!(rooms.await.unwrap()[&bob.requester.user_id].len(), 1);
    }
}

/// PROF-02, and client-server API, "Events on Change of Profile Information".
#[tokio::test]
async fn a_new_name_is_told_with_presence() {
    for house in houses().await {
        let alice = house.person("alice");
        let bob = with_account(&house, "bob").await;
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let since = syncs(&alice, None).await.next_batch;
        let start = syncs(&bob, None).await;
        let there = syncs(&alice, Some(&since)).await;
        let content = said(&there, &bob).expect("he is there")["content"].clone();
        assert_eq!(content["displayname"], serde_json::Value::Null);
        let user = &bob.requester.user_id;
        for (field, value) in [("displayname", "Bob"), ("avatar_url", "mxc://here/bob")] {
            bob.engine
                .set_profile_field(&bob.requester, user, field, value.into())
                .await
                .unwrap();
        }
        // The rooms, and presence before them, learn of it behind the answer.
        bob.engine.tell_rooms(user).await;
        for (reader, since) in [(&alice, &there.next_batch), (&bob, &start.next_batch)] {
            let told = syncs(reader, Some(since)).await;
            let content = said(&told, &bob).expect("the news")["content"].clone();
            assert_eq!(content["displayname"], "Bob", "{content}");
            assert_eq!(content["avatar_url"], "mxc://here/bob", "{content}");
            assert_eq!(content["presence"], "online", "{content}");
            let again = syncs(reader, Some(&told.next_batch)).await;
            assert_eq!(said(&again, &bob), None, "once");
        }
    }
}

/// What changes is stored now and then.
#[tokio::test]
async fn who_is_there_is_stored_once_a_minute() {
    for house in houses().await {
        let alice = house.person("alice");
        let presence = house.engine.context.presence.clone();
        let store = house.engine.context.store.clone();
        let stored = async || storage::presences::all(store.reader()).await.unwrap();
        syncs(&alice, None).await;
        presence.pass().await;
        assert_eq!(stored().await.len(), 1);
        let says = |state| {
            let said = alice.engine.set_presence(&alice.requester, state, None);
            said.unwrap();
        };
        says(PresenceState::Busy);
        house.clock.advance(10_000);
        let due = presence.pass().await;
        assert!(stored().await[0].state == "online" && due.is_some());
        house.clock.advance(60_000);
        says(PresenceState::Unavailable);
        presence.pass().await;
        assert_eq!(stored().await[0].state, "unavailable");
        house.clock.advance(60_000);
        presence.pass().await;
        presence.store_all().await;
        assert!(stored().await.is_empty(), "she is gone");
    }
}

/// PRES-03: in a gap that the memory does not reach over, those who came in before its last page were left out.
#[tokio::test]
async fn who_came_in_long_ago_is_there_as_well() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        syncs(&bob, None).await;
        let since = syncs(&alice, None).await.next_batch;
        bob.joins(&room).await.unwrap();
        for n in 0..100 {
            alice.says(&room, &n.to_string()).await.unwrap();
        }
        // With no memory of any of it.
        let again = House::on(house.engine.context.store.clone());
        let (alice, bob) = (again.person("alice"), again.person("bob"));
        bob.engine
            .set_presence(&bob.requester, PresenceState::Online, None)
            .unwrap();
        let last = again.engine.context.ephemeral.last();
        let position = since.split_once('_').expect("two parts").0;
        let since = format!("{position}_{last}");
        let sync = syncs(&alice, Some(&since)).await;
        assert!(sync.rooms.join[&room].timeline.limited);
        assert!(said(&sync, &bob).is_some(), "{:?}", sync.presence);
    }
}

/// Whose account is closed is not there any more, and is forgotten.
#[tokio::test]
async fn whose_account_is_closed_is_gone() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("12", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let presence = house.engine.context.presence.clone();
        let status = Some("in the garden".to_owned());
        bob.engine
            .set_presence(&bob.requester, PresenceState::Busy, status)
            .unwrap();
        let since = syncs(&alice, None).await.next_batch;
        presence.close(&bob.requester.user_id);
        // Though they leave before anybody looks.
        bob.leaves(&room).await.unwrap();
        let gone = syncs(&alice, Some(&since)).await;
        let content = said(&gone, &bob).expect("it is told");
        assert_eq!(
            content["content"],
            serde_json::json!({"presence": "offline"})
        );
        presence.store_all().await;
        let stored = storage::presences::all(house.engine.context.store.reader()).await;
        let of_bob = |row: &storage::presences::Presence| row.user_id == "@bob:here";
        assert!(!stored.unwrap().iter().any(of_bob));
    }
}
