//! Who is there, for those who share a room: in sync, and between servers.

use ruma::api::client::sync::sync_events::v3::Response;
use spec::{json::Value, object};

use super::{
    federation::pairs,
    fixture::{Person, houses},
};
use crate::{PresenceState, Preset, SyncAsk};

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
