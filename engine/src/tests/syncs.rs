//! What a sync says of rooms, beside the messages.

use ruma::{
    OwnedEventId, OwnedRoomId, UserId,
    api::client::sync::sync_events::v3::{JoinedRoom, Response, State},
};
use serde_json::{Value, json};
use spec::object;
use storage::{Plain, Write};

use super::{
    federation::{name, pairs},
    fixture::{House, Person, bodies, houses, target},
};
use crate::{PresenceState, Preset, SetState, SyncAsk};

impl Person {
    async fn syncs_with(&self, since: Option<&str>, filter: &Value) -> Response {
        let ask = SyncAsk {
            since: since.map(str::to_owned),
            filter: serde_json::from_value(filter.clone()).expect("a filter"),
            ..SyncAsk::default()
        };
        self.asks(&ask).await
    }

    async fn asks(&self, ask: &SyncAsk) -> Response {
        let response = self.engine.sync(&self.requester, ask).await;
        response.expect("the sync is answered")
    }

    async fn sets_state(
        &self,
        room: &OwnedRoomId,
        event_type: &str,
        content: Value,
    ) -> OwnedEventId {
        let content = serde_json::to_vec(&content).unwrap();
        let content = spec::json::parse_object(&content, spec::json::Strictness::Strict).unwrap();
        let set = SetState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        };
        let room = self.room(room).await;
        room.set_state(&self.requester, set).await.unwrap()
    }
}

/// Whose member events the state section has, in order.
fn members(joined: &JoinedRoom) -> Vec<String> {
    let (State::Before(state) | State::After(state)) = &joined.state else {
        panic!("an unknown form of state")
    };
    let mut members: Vec<String> = state
        .events
        .iter()
        .map(|event| event.deserialize_as_unchecked::<Value>().unwrap())
        .filter(|event| event["type"] == "m.room.member")
        .map(|event| event["state_key"].as_str().unwrap().to_owned())
        .collect();
    members.sort();
    members
}

/// A room with the first of these people as its creator.
async fn gathered<const N: usize>(house: &House, names: [&str; N]) -> (OwnedRoomId, [Person; N]) {
    let people = names.map(|name| house.person(name));
    let room = people[0].creates("12", Preset::Public).await;
    for person in &people[1..] {
        person.joins(&room).await.unwrap();
    }
    (room, people)
}

fn lazy() -> Value {
    json!({"room": {"timeline": {"limit": 1}, "state": {"lazy_load_members": true}}})
}

/// Behaviour FILT-08.
#[tokio::test]
async fn a_lazy_client_gets_those_by_whom_it_is_told_to_name_the_room() {
    for house in houses().await {
        let (room, [alice, ..]) = gathered(&house, ["alice", "bob", "carol"]).await;
        alice.says(&room, "hello").await.unwrap();
        let first = alice.syncs_with(None, &lazy()).await;
        let joined = &first.rooms.join[&room];
        assert_eq!(joined.summary.heroes, ["@bob:here", "@carol:here"]);
        assert_eq!(
            members(joined),
            ["@alice:here", "@bob:here", "@carol:here"],
            "{joined:?}"
        );

        // Somebody comes: with the new summary the others need not come once more.
        let dora = house.person("dora");
        dora.joins(&room).await.unwrap();
        let later = alice.syncs_with(Some(&first.next_batch), &lazy()).await;
        let joined = &later.rooms.join[&room];
        assert_eq!(joined.summary.heroes.len(), 3);
        assert!(members(joined).is_empty(), "{joined:?}");

        // A room with a name needs no heroes.
        alice
            .sets_state(&room, "m.room.name", json!({"name": "named"}))
            .await;
        let named = alice.syncs_with(None, &lazy()).await;
        let joined = &named.rooms.join[&room];
        assert!(joined.summary.heroes.is_empty(), "{joined:?}");
        assert_eq!(members(joined), ["@alice:here"]);
        alice
            .sets_state(&room, "m.room.name", json!({"name": ""}))
            .await;
        let unnamed = alice.syncs_with(None, &lazy()).await;
        assert_eq!(unnamed.rooms.join[&room].summary.heroes.len(), 3);

        // Nor has it a name whose event was redacted.
        let named = json!({"name": "to be redacted"});
        let named = alice.sets_state(&room, "m.room.name", named).await;
        let before = alice.syncs_with(None, &lazy()).await;
        assert!(before.rooms.join[&room].summary.heroes.is_empty());
        alice.redacts(&room, &named).await;
        let after = alice.syncs_with(None, &lazy()).await;
        assert_eq!(after.rooms.join[&room].summary.heroes.len(), 3);
    }
}

/// Behaviour SYNC-16.
#[tokio::test]
async fn who_has_left_names_a_room_that_nobody_else_is_in() {
    for house in houses().await {
        let (room, [alice, bob, carol]) = gathered(&house, ["alice", "bob", "carol"]).await;
        bob.leaves(&room).await.unwrap();
        let handle = alice.room(&room).await;
        handle.ban(&alice.requester, target(&carol)).await.unwrap();
        let sync = alice.syncs_with(None, &lazy()).await;
        let summary = &sync.rooms.join[&room].summary;
        assert_eq!(summary.heroes, ["@bob:here", "@carol:here"]);
        assert_eq!(summary.joined_member_count, Some(1_u32.into()));
    }
}

/// Behaviour FILT-06.
#[tokio::test]
async fn a_lazy_client_is_told_of_a_member_once() {
    for house in houses().await {
        let (room, [alice, bob, carol]) = gathered(&house, ["alice", "bob", "carol"]).await;
        alice
            .sets_state(&room, "m.room.name", json!({"name": "named"}))
            .await;
        let start = alice.syncs_with(None, &lazy()).await.next_batch;
        bob.says(&room, "one").await.unwrap();
        let first = alice.syncs_with(Some(&start), &lazy()).await;
        assert_eq!(members(&first.rooms.join[&room]), ["@bob:here"]);
        bob.says(&room, "two").await.unwrap();
        let second = alice.syncs_with(Some(&first.next_batch), &lazy()).await;
        assert!(members(&second.rooms.join[&room]).is_empty(), "{second:?}");

        // An answer that was lost has told nothing.
        let again = alice.syncs_with(Some(&start), &lazy()).await;
        assert_eq!(members(&again.rooms.join[&room]), ["@bob:here"]);
        // Nor has one whose timeline had other speakers than the one that came instead.
        carol.says(&room, "three").await.unwrap();
        bob.says(&room, "four").await.unwrap();
        let instead = alice.syncs_with(Some(&start), &lazy()).await;
        assert_eq!(members(&instead.rooms.join[&room]), ["@bob:here"]);
        carol.says(&room, "five").await.unwrap();
        let after = alice.syncs_with(Some(&instead.next_batch), &lazy()).await;
        assert_eq!(members(&after.rooms.join[&room]), ["@carol:here"]);

        // Another device knows nothing of it, nor does one that wants them all the same.
        let mut tablet = alice.clone();
        tablet.requester.device_id = Some("tablet".into());
        let other = tablet.syncs_with(Some(&instead.next_batch), &lazy()).await;
        assert_eq!(members(&other.rooms.join[&room]), ["@carol:here"]);
        bob.says(&room, "six").await.unwrap();
        let mut redundant = lazy();
        redundant["room"]["state"]["include_redundant_members"] = true.into();
        let all = alice.syncs_with(Some(&after.next_batch), &redundant).await;
        assert_eq!(members(&all.rooms.join[&room]), ["@bob:here"]);

        // A member who has changed is told of anew: by the timeline, and then no more.
        let handle = bob.room(&room).await;
        let renames = SetState {
            event_type: "m.room.member".to_owned(),
            state_key: bob.requester.user_id.to_string(),
            content: object! { "membership" => "join", "displayname" => "Bobby" },
        };
        handle.set_state(&bob.requester, renames).await.unwrap();
        let renamed = alice.syncs_with(Some(&all.next_batch), &lazy()).await;
        let timeline = &renamed.rooms.join[&room].timeline;
        assert!(format!("{timeline:?}").contains("Bobby"), "{timeline:?}");
        bob.says(&room, "seven").await.unwrap();
        let after = alice.syncs_with(Some(&renamed.next_batch), &lazy()).await;
        assert!(members(&after.rooms.join[&room]).is_empty(), "{after:?}");

        // Who begins anew gets them anew.
        let anew = alice.syncs_with(None, &lazy()).await;
        assert_eq!(
            members(&anew.rooms.join[&room]),
            ["@alice:here", "@bob:here"]
        );
    }
}

/// Behaviours SYNC-09 and FILT-07.
#[tokio::test]
async fn a_lazy_client_learns_of_all_who_came_and_went_in_a_gap() {
    for house in houses().await {
        for use_state_after in [false, true] {
            let (room, [alice, bob, carol, dora]) =
                gathered(&house, ["alice", "bob", "carol", "dora"]).await;
            let start = alice.syncs_with(None, &lazy()).await.next_batch;
            let erin = house.person("erin");
            bob.leaves(&room).await.unwrap();
            erin.joins(&room).await.unwrap();
            carol.says(&room, "left out").await.unwrap();
            dora.says(&room, "the last").await.unwrap();
            let mut filter = lazy();
            filter["room"]["state"]["include_redundant_members"] = true.into();
            let ask = SyncAsk {
                since: Some(start),
                filter: serde_json::from_value(filter).unwrap(),
                use_state_after,
                ..SyncAsk::default()
            };
            let sync = alice.asks(&ask).await;
            let joined = &sync.rooms.join[&room];
            assert!(joined.timeline.limited);
            let mut told = members(joined);
            // The heroes of the new summary come as well.
            told.retain(|user| user != "@carol:here");
            assert_eq!(told, ["@bob:here", "@dora:here", "@erin:here"]);
            let text = format!("{:?}", joined.state);
            assert!(text.contains(r#""membership":"leave""#), "{text}");
        }
    }
}

/// Behaviour FILT-04.
#[tokio::test]
async fn events_come_as_servers_exchange_them_if_a_filter_says_so() {
    for house in houses().await {
        let (room, [alice]) = gathered(&house, ["alice"]).await;
        alice.says(&room, "hello").await.unwrap();
        let filter = json!({"event_format": "federation", "room": {"timeline": {"limit": 1}}});
        let sync = alice.syncs_with(None, &filter).await;
        let joined = &sync.rooms.join[&room];
        let State::Before(state) = &joined.state else {
            panic!("{joined:?}")
        };
        let state = state.events.iter().map(|event| event.json().get());
        let timeline = joined.timeline.events.iter();
        for event in timeline.map(|event| event.json().get()).chain(state) {
            let event: Value = serde_json::from_str(event).unwrap();
            for key in [
                "auth_events",
                "prev_events",
                "hashes",
                "signatures",
                "depth",
            ] {
                assert!(event.get(key).is_some(), "{key} in {event}");
            }
            assert!(event["event_id"].is_string() && event["unsigned"]["age"].is_i64());
        }
        let plain = alice.syncs_with(None, &json!({})).await;
        let text = format!("{:?}", plain.rooms.join[&room].timeline);
        assert!(!text.contains("auth_events"), "{text}");
    }
}

/// Behaviour SYNC-05: with a timeline of none, all lies before its token.
#[tokio::test]
async fn without_a_timeline_the_newest_event_is_found_by_scrolling_back() {
    for house in houses().await {
        let (room, [alice, bob]) = gathered(&house, ["alice", "bob"]).await;
        alice.says(&room, "one").await.unwrap();
        let none = json!({"room": {"timeline": {"limit": 0}, "include_leave": true}});
        let first = alice.syncs_with(None, &none).await;
        for text in ["two", "three"] {
            alice.says(&room, text).await.unwrap();
        }
        let second = alice.syncs_with(Some(&first.next_batch), &none).await;
        bob.leaves(&room).await.unwrap();
        let left = bob.syncs_with(None, &none).await;
        let of = |sync: &Response| {
            let joined = sync.rooms.join.get(&room).map(|joined| &joined.timeline);
            let left = || sync.rooms.leave.get(&room).map(|left| &left.timeline);
            joined.or_else(left).cloned().expect("the room")
        };
        for (sync, by, last) in [
            (&first, &alice, "one"),
            (&second, &alice, "three"),
            (&left, &bob, "@bob:here"),
        ] {
            let timeline = of(sync);
            assert!(timeline.limited && timeline.events.is_empty(), "{last}");
            let ask = crate::MessagesAsk {
                from: timeline.prev_batch,
                to: None,
                direction: crate::Direction::Backward,
                limit: 1,
                filter: Default::default(),
                relations: Default::default(),
            };
            let page = by.room(&room).await.messages(&by.requester, ask).await;
            let text = format!("{:?}", page.unwrap().chunk);
            assert!(text.contains(last), "{last}: {text}");
        }
    }
}

/// Behaviour FILT-02: one event that is wanted stands behind many that are not.
#[tokio::test]
async fn a_small_timeline_is_looked_for_far_back() {
    for house in houses().await {
        let (room, [alice]) = gathered(&house, ["alice"]).await;
        alice.says(&room, "wanted").await.unwrap();
        for n in 0..100 {
            alice
                .sets_state(&room, "m.room.topic", json!({"topic": n.to_string()}))
                .await;
        }
        let filter = json!({"room": {"timeline": {"limit": 1, "types": ["m.room.message"]}}});
        let sync = alice.syncs_with(None, &filter).await;
        assert_eq!(bodies(&sync, &room), ["wanted"]);
    }
}

/// A token from long ago costs no more than beginning anew, and tells what it should.
#[tokio::test]
async fn a_client_comes_from_long_ago() {
    for house in houses().await {
        let (room, [alice, bob]) = gathered(&house, ["alice", "bob"]).await;
        let early = alice.syncs(None).await.next_batch;
        let busy = bob.creates("12", Preset::Private).await;
        for n in 0..30 {
            bob.says(&busy, "not hers").await.unwrap();
            bob.says(&room, &n.to_string()).await.unwrap();
        }
        let last = bob.says(&room, "last").await.unwrap();
        let handle = bob.room(&room).await;
        let read = handle.set_receipt(&bob.requester, "m.read", &last, Default::default());
        read.await.unwrap();
        // After a start nothing is in memory.
        let store = house.engine.context.store.clone();
        let house = House::on(store.clone());
        let alice = house.person("alice");
        alice.syncs(None).await;
        for since in ["s0_0", &early] {
            let before = store.reads();
            let sync = alice.syncs(Some(since)).await;
            let cost = store.reads() - before;
            assert_eq!(sync.rooms.join.len(), 1, "{since}");
            let joined = &sync.rooms.join[&room];
            let bodies = bodies(&sync, &room);
            assert_eq!(bodies.last().map(String::as_str), Some("last"), "{since}");
            assert_eq!(bodies.len(), 10, "{since}");
            assert!(joined.timeline.limited, "{since}");
            let ephemeral = format!("{:?}", joined.ephemeral);
            assert!(ephemeral.contains("m.receipt"), "{since}: {ephemeral}");
            assert!(cost < 40, "{since}: {cost} statements");
        }
    }
}

/// Behaviour SYNC-28: as after going back to an older release.
#[tokio::test]
async fn a_room_of_an_unknown_version_is_left_out() {
    for house in houses().await {
        let (room, [alice, bob]) = gathered(&house, ["alice", "bob"]).await;
        let odd = alice.creates("12", Preset::Public).await;
        bob.joins(&odd).await.unwrap();
        let old = alice.creates("12", Preset::Public).await;
        bob.joins(&old).await.unwrap();
        let before = bob.syncs(None).await.next_batch;
        bob.leaves(&old).await.unwrap();
        for id in [&odd, &old] {
            let version = Plain::RoomVersion {
                room: alice.room(id).await.meta.row,
                version: "from the future".to_owned(),
            };
            let store = &house.engine.context.store;
            store.write(Write::plain(vec![version])).await.unwrap();
        }
        let house = House::on(house.engine.context.store.clone());
        let bob = house.person("bob");
        for since in [None, Some(before.as_str()), Some("s0_0")] {
            let ask = SyncAsk {
                since: since.map(str::to_owned),
                full_state: true,
                filter: serde_json::from_str(r#"{"room":{"include_leave":true}}"#).unwrap(),
                ..SyncAsk::default()
            };
            let sync = bob.asks(&ask).await;
            let rooms: Vec<&OwnedRoomId> = sync.rooms.join.keys().collect();
            assert_eq!(rooms, [&room], "{since:?}");
            assert!(sync.rooms.leave.is_empty(), "{since:?}");
        }
        let joined = bob.engine.joined_rooms(&bob.requester).await.unwrap();
        assert_eq!(joined, [room]);
    }
}

/// A summary is read once for all who look, and anew when it has changed.
#[tokio::test]
async fn a_summary_is_read_once_for_all() {
    for house in houses().await {
        let (room, [alice, bob, carol]) = gathered(&house, ["alice", "bob", "carol"]).await;
        let count = |sync: &Response| sync.rooms.join[&room].summary.joined_member_count;
        let mut since = alice.syncs(None).await.next_batch;
        for (name, now) in [("dora", 4_u32), ("erin", 5), ("fred", 6)] {
            house.person(name).joins(&room).await.unwrap();
            let sync = alice.syncs(Some(&since)).await;
            assert_eq!(count(&sync), Some(now.into()), "{name}");
            since = sync.next_batch;
        }
        carol.leaves(&room).await.unwrap();
        bob.leaves(&room).await.unwrap();
        let sync = alice.syncs(Some(&since)).await;
        assert_eq!(count(&sync), Some(4_u32.into()));
    }
}

/// Behaviour TYPE-02.
#[tokio::test]
async fn whoever_goes_types_no_more() {
    for house in houses().await {
        let (room, [alice, bob, carol]) = gathered(&house, ["alice", "bob", "carol"]).await;
        for person in [&bob, &carol] {
            let handle = person.room(&room).await;
            let minute = Some(std::time::Duration::from_secs(60));
            handle.set_typing(&person.requester, minute).await.unwrap();
        }
        let start = alice.syncs(None).await;
        let typing = |sync: &Response| format!("{:?}", sync.rooms.join[&room].ephemeral);
        assert!(typing(&start).contains("@bob:here"));
        bob.leaves(&room).await.unwrap();
        let handle = alice.room(&room).await;
        let left = alice.syncs(Some(&start.next_batch)).await;
        assert!(!typing(&left).contains("@bob:here"), "{left:?}");
        assert!(typing(&left).contains("@carol:here"), "{left:?}");
        handle.kick(&alice.requester, target(&carol)).await.unwrap();
        let kicked = alice.syncs(Some(&left.next_batch)).await;
        assert!(typing(&kicked).contains(r#""user_ids":[]"#), "{kicked:?}");
    }
}

/// Behaviour PRES-01: what one says of oneself is not lost where one meets others.
#[tokio::test]
async fn whoever_joins_a_room_still_hears_of_their_own_presence() {
    for house in houses().await {
        let (room, [alice]) = gathered(&house, ["alice"]).await;
        let bob = house.person("bob");
        let online = SyncAsk {
            presence: PresenceState::Online,
            ..SyncAsk::default()
        };
        alice.asks(&online).await;
        let start = bob.asks(&online).await.next_batch;
        bob.engine
            .set_presence(&bob.requester, PresenceState::Busy, None)
            .unwrap();
        bob.joins(&room).await.unwrap();
        let sync = bob.syncs(Some(&start)).await;
        let mut senders: Vec<String> = sync
            .presence
            .events
            .iter()
            .map(|event| event.get_field("sender").unwrap().unwrap())
            .collect();
        senders.sort();
        assert_eq!(senders, ["@alice:here", "@bob:here"]);
    }
}

/// Behaviour RCPT-02.
#[tokio::test]
async fn a_receipt_for_an_event_of_another_room_changes_nothing() {
    for house in houses().await {
        let (room, [alice, bob]) = gathered(&house, ["alice", "bob"]).await;
        let (elsewhere, [_, _]) = gathered(&house, ["alice", "bob"]).await;
        let here = alice.says(&room, "here").await.unwrap();
        let there = alice.says(&elsewhere, "there").await.unwrap();
        let handle = bob.room(&room).await;
        let by = &bob.requester;
        for kind in ["m.read", "m.read.private", "m.fully_read"] {
            let read = handle.set_receipt(by, kind, &here, Default::default());
            read.await.unwrap();
        }
        let start = bob.syncs(None).await;
        for kind in ["m.read", "m.read.private", "m.fully_read"] {
            let read = handle.set_receipt(by, kind, &there, Default::default());
            read.await.unwrap();
        }
        let (full, read, private) = (Some(there.clone()), Some(there.clone()), Some(there));
        let markers = handle.set_read_markers(by, full, read, private, Default::default());
        markers.await.unwrap();
        let sync = bob.syncs(Some(&start.next_batch)).await;
        assert!(sync.rooms.join.is_empty(), "{sync:?}");
        let unread = bob.syncs(None).await;
        let count = unread.rooms.join[&room]
            .unread_notifications
            .notification_count;
        assert_eq!(count, Some(0_u32.into()));

        // One that nobody knows may come yet, and is taken.
        let unknown = ruma::owned_event_id!("$unknown:there");
        let read = handle.set_receipt(by, "m.read", &unknown, Default::default());
        read.await.unwrap();
        let sync = bob.syncs(Some(&start.next_batch)).await;
        let text = format!("{:?}", sync.rooms.join[&room].ephemeral);
        assert!(text.contains("$unknown:there"), "{text}");
    }
}

/// Behaviour RCPT-04.
#[tokio::test]
async fn of_two_receipts_for_one_event_the_one_without_a_thread_is_shown() {
    use crate::ReceiptThread::{Main, Unthreaded};
    for house in houses().await {
        for order in [[Main, Unthreaded], [Unthreaded, Main]] {
            let (room, [alice, bob]) = gathered(&house, ["alice", "bob"]).await;
            let event = alice.says(&room, "hello").await.unwrap();
            let handle = bob.room(&room).await;
            for thread in order {
                let read = handle.set_receipt(&bob.requester, "m.read", &event, thread);
                read.await.unwrap();
            }
            let sync = alice.syncs(None).await;
            let receipts = &sync.rooms.join[&room].ephemeral.events[0];
            let receipts: Value = receipts.deserialize_as_unchecked().unwrap();
            let bob = UserId::parse("@bob:here").unwrap();
            let shown = &receipts["content"][event.as_str()]["m.read"][bob.as_str()];
            assert!(shown["ts"].is_i64(), "{receipts}");
            assert!(shown.get("thread_id").is_none(), "{receipts}");
        }
    }
}

/// Behaviours RCPT-07 and TYPE-03: what a denied server says of its users is not heard.
#[tokio::test]
async fn a_server_that_a_room_denies_is_not_heard_in_it() {
    for pair in pairs().await {
        let (room, alice, bob) = pair.joined_room("12").await;
        let said = alice.says(&room, "hello").await.unwrap();
        let (user, origin) = (bob.requester.user_id.as_str(), name(&pair.there));
        let reads = object! { user => object! {
            "event_ids" => spec::json::Value::Array(vec![said.as_str().into()]),
            "data" => object! { "ts" => 1 },
        }};
        let edus = [
            object! {
                "edu_type" => "m.typing",
                "content" => object! { "room_id" => room.as_str(), "user_id" => user, "typing" => true },
            },
            object! {
                "edu_type" => "m.receipt",
                "content" => object! { room.as_str() => object! { "m.read" => reads } },
            },
        ];
        let acl = |deny: &[&str]| json!({"allow": ["*"], "deny": deny});
        for (deny, heard) in [(vec!["there"], 0), (vec![], 2)] {
            alice
                .sets_state(&room, "m.room.server_acl", acl(&deny))
                .await;
            let inbound = pair.here.engine.inbound();
            inbound.edus(&origin, edus.to_vec()).await;
            let sync = alice.syncs(None).await;
            let told = &sync.rooms.join[&room].ephemeral.events;
            assert_eq!(told.len(), heard, "{deny:?}: {told:?}");
        }
    }
}
