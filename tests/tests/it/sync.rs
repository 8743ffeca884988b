//! Waiting for news.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Room, TestServer, User, events::EVENTS, sync::Sync};

fn ids(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

fn limit(limit: usize) -> Value {
    json!({"room": {"timeline": {"limit": limit}}})
}

#[tokio::test]
async fn the_first_sync_tells_all_of_a_room() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    for number in 0..20 {
        alice.says(&room, &number.to_string()).await;
    }
    // Others give a summary only to those who load members lazily.
    let filter = json!({"room": {"timeline": {"limit": 5}, "state": {"lazy_load_members": true}}});
    let sync = bob.syncs().filter(&filter).await;
    let joined = sync.joined(&room).expect("the room");
    let timeline = sync.events(&room, "timeline");
    assert_eq!(
        timeline
            .iter()
            .map(|event| &event["content"]["body"])
            .collect::<Vec<_>>(),
        ["15", "16", "17", "18", "19"]
    );
    assert_eq!(joined["timeline"]["limited"], true);
    let state = sync.events(&room, "state");
    for expected in [
        "m.room.create",
        "m.room.join_rules",
        "m.room.power_levels",
        "m.room.member",
    ] {
        assert!(
            state.iter().any(|event| event["type"] == expected),
            "no {expected}"
        );
    }
    assert_eq!(joined["summary"]["m.joined_member_count"], 2);
    assert_eq!(joined["summary"]["m.heroes"], json!([alice.id]));
}

#[tokio::test]
async fn a_short_room_comes_whole_and_unlimited() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let sync = alice.syncs().filter(&limit(100)).await;
    let joined = sync.joined(&room).expect("the room");
    assert_eq!(joined["timeline"]["events"][0]["type"], "m.room.create");
    assert_ne!(joined["timeline"]["limited"], true);
    assert!(
        sync.events(&room, "state").is_empty(),
        "all state is in the timeline"
    );
}

#[tokio::test]
async fn only_news_come_after_that() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let [room, quiet] = [
        alice.creates_room().with([&bob]).await,
        alice.creates_room().with([&bob]).await,
    ];
    let first = bob.syncs().await;
    assert!(first.joined(&quiet).is_some());
    let nothing = bob.syncs().since(&first.next_batch()).await;
    assert!(
        nothing.joined(&room).is_none() && nothing.joined(&quiet).is_none(),
        "{nothing:?}"
    );
    let message = alice.says(&room, "news").await;
    let news = bob.syncs().since(&first.next_batch()).await;
    assert_eq!(ids(news.events(&room, "timeline")), [message.as_str()]);
    assert!(news.joined(&quiet).is_none());
    let again = bob.syncs().since(&first.next_batch()).await;
    assert_eq!(
        ids(again.events(&room, "timeline")),
        [message.as_str()],
        "the same token gives the same"
    );
    let after = bob.syncs().since(&news.next_batch()).await;
    assert!(after.joined(&room).is_none());
}

#[tokio::test]
async fn a_sync_waits_for_a_message() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let since = bob.syncs().await.next_batch();
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(bob.syncs().since(&since).timeout(25_000).into_future()))
        .collect();
    let message = alice.says(&room, "wake up").await;
    let begun = Instant::now();
    for sync in waiting {
        let sync = sync.await.expect("a sync");
        assert_eq!(ids(sync.events(&room, "timeline")), [message.as_str()]);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_sync_without_news_ends_after_its_timeout() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut sync = alice.syncs().await;
    // Another server may still have something to say, such as presence.
    for _ in 0..5 {
        let begun = Instant::now();
        sync = alice.syncs().since(&sync.next_batch()).timeout(500).await;
        if begun.elapsed() >= Duration::from_millis(490) {
            let begun = Instant::now();
            alice.syncs().since(&sync.next_batch()).await;
            assert!(
                begun.elapsed() < Duration::from_millis(400),
                "no timeout, no wait"
            );
            return;
        }
    }
    panic!("it never waits");
}

#[tokio::test]
async fn many_messages_leave_a_gap_that_says_so() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let since = bob.syncs().await.next_batch();
    let name = alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "in the gap"}))
        .await
        .ok()
        .event_id;
    for number in 0..12 {
        alice.says(&room, &number.to_string()).await;
    }
    let sync = bob.syncs().since(&since).filter(&limit(4)).await;
    let joined = sync.joined(&room).expect("the room");
    assert_eq!(sync.events(&room, "timeline").len(), 4);
    assert_eq!(joined["timeline"]["limited"], true);
    assert!(
        ids(sync.events(&room, "state")).contains(&name.as_str()),
        "state of the gap"
    );
    let page = bob
        .messages(&room, "b")
        .query(
            "from",
            joined["timeline"]["prev_batch"].as_str().expect("a token"),
        )
        .await
        .ok();
    assert_eq!(
        page["chunk"][0]["content"]["body"], "7",
        "the gap begins where the timeline does"
    );
}

#[tokio::test]
async fn an_invite_comes_with_enough_to_show_it() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let since = bob.syncs().await.next_batch();
    let room = alice
        .creates_room()
        .option("name", json!("Party"))
        .option("invite", json!([bob.id]))
        .await;
    for sync in [
        bob.syncs_when(&since, |sync| sync.invited(&room).map(|_| sync.clone()))
            .await
            .0,
        bob.syncs().await,
    ] {
        let state = sync.invited(&room).expect("an invite")["invite_state"]["events"]
            .as_array()
            .expect("events")
            .clone();
        let find = |event_type: &str| state.iter().find(|event| event["type"] == event_type);
        assert_eq!(
            find("m.room.name").expect("the name")["content"]["name"],
            "Party"
        );
        assert!(find("m.room.create").is_some());
        assert!(state.iter().any(|e| e["type"] == "m.room.member"
            && e["state_key"] == bob.id
            && e["content"]["membership"] == "invite"));
    }
}

#[tokio::test]
async fn a_joined_room_comes_with_all_its_state() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice
        .creates_room()
        .public()
        .option("name", json!("Old room"))
        .await;
    for number in 0..15 {
        alice.says(&room, &number.to_string()).await;
    }
    let since = bob.syncs().await.next_batch();
    bob.joins(&room).await.ok();
    let sync = bob.syncs().since(&since).filter(&limit(3)).await;
    let joined = sync.joined(&room).expect("the room");
    assert_eq!(joined["timeline"]["limited"], true);
    assert!(
        sync.events(&room, "state")
            .iter()
            .any(|event| event["type"] == "m.room.name")
    );
    assert!(
        sync.events(&room, "timeline")
            .iter()
            .any(|event| event["state_key"] == bob.id)
    );
}

#[tokio::test]
async fn leaving_is_told_once_with_nothing_from_after() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for kicked in [false, true] {
        let room = alice.creates_room().with([&bob]).await;
        let since = bob.syncs().await.next_batch();
        alice.says(&room, "before").await;
        if kicked {
            alice.bans(&room, &bob).await.ok();
        } else {
            bob.leaves(&room).await.ok();
        }
        alice.says(&room, "after").await;
        let sync = bob.syncs().since(&since).await;
        assert!(
            sync.left(&room).is_some() && sync.joined(&room).is_none(),
            "{sync:?}"
        );
        let timeline = sync.events(&room, "timeline");
        assert_eq!(
            timeline.first().map(|e| &e["content"]["body"]),
            Some(&json!("before"))
        );
        let last = timeline.last().expect("the leave event");
        assert_eq!(
            (&last["type"], &last["state_key"]),
            (&json!("m.room.member"), &json!(bob.id))
        );
        let next = bob.syncs().since(&sync.next_batch()).await;
        assert!(next.left(&room).is_none(), "once");
    }
}

/// Who came and went between two syncs is shown the room as who sees it for the first time.
#[tokio::test]
async fn a_visit_between_two_syncs_shows_where_the_room_goes_on() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().public().await;
    let first = alice.says(&room, "long before").await;
    let since = bob.syncs().await.next_batch();
    bob.joins(&room).await.ok();
    bob.leaves(&room).await.ok();
    let filter = json!({"room": {"timeline": {"limit": 2}}});
    let sync = bob.syncs().since(&since).filter(&filter).await;
    let left = sync.left(&room).expect("the room that he left");
    assert_eq!(left["timeline"]["limited"], true, "{left}");
    let state = sync.events(&room, "state");
    assert!(
        state.iter().any(|event| event["type"] == "m.room.create"),
        "{left}"
    );
    let prev_batch = left["timeline"]["prev_batch"].as_str().expect("a token");
    let earlier = bob
        .messages(&room, "b")
        .query("from", prev_batch)
        .await
        .ok();
    let chunk = earlier["chunk"].as_array().expect("events");
    assert!(
        chunk.iter().any(|event| event["event_id"] == first),
        "{earlier}"
    );
}

#[tokio::test]
async fn joining_after_leaving_shows_the_room_only_as_joined() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().public().with([&bob]).await;
    let since = bob.syncs().await.next_batch();
    bob.leaves(&room).await.ok();
    bob.joins(&room).await.ok();
    let sync = bob.syncs().since(&since).await;
    assert!(sync.joined(&room).is_some() && sync.left(&room).is_none());
}

/// SYNC-10: the same after an invite that was turned down in between.
#[tokio::test]
async fn joining_after_turning_down_an_invite_shows_the_room_only_as_joined() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let since = bob.syncs().await.next_batch();
    bob.leaves(&room).await.ok();
    for _ in 0..2 {
        alice.invites(&room, &bob).await.ok();
        bob.leaves(&room).await.ok();
    }
    alice.invites(&room, &bob).await.ok();
    bob.joins(&room).await.ok();
    for full in [false, true] {
        let sync = bob.syncs().since(&since).query("full_state", full).await;
        let joined = sync.joined(&room).expect("the room");
        assert!(joined["timeline"]["events"].is_array());
        assert!(sync.left(&room).is_none() && sync.0["rooms"]["invite"][&room.id].is_null());
    }
}

#[tokio::test]
async fn full_state_is_sent_on_request() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().option("name", json!("Room")).await;
    let since = alice.syncs().await.next_batch();
    let begun = Instant::now();
    let sync = alice
        .syncs()
        .since(&since)
        .query("full_state", true)
        .timeout(20_000)
        .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "at once");
    assert!(
        sync.events(&room, "timeline").is_empty(),
        "the timeline is still since the token"
    );
    assert!(
        sync.events(&room, "state")
            .iter()
            .any(|event| event["type"] == "m.room.name")
    );
}

#[tokio::test]
async fn state_after_the_timeline_is_sent_on_request() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let since = alice.syncs().await.next_batch();
    let name = alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "new"}))
        .await
        .ok()
        .event_id;
    let sync = alice
        .syncs()
        .since(&since)
        .query("use_state_after", true)
        .await;
    let joined = sync.joined(&room).expect("the room");
    if joined.get("state_after").is_none() && !server.is_own() {
        return; // An older server.
    }
    assert_eq!(ids(sync.events(&room, "state_after")), [name.as_str()]);
    assert_eq!(
        ids(sync.events(&room, "timeline")),
        [name.as_str()],
        "in both"
    );
    let message = alice.says(&room, "no state").await;
    let sync = alice
        .syncs()
        .since(&sync.next_batch())
        .query("use_state_after", true)
        .await;
    assert!(sync.event(&room, &message).is_some());
    assert!(
        sync.joined(&room).expect("the room")["state_after"].is_object(),
        "present when empty"
    );
    assert!(sync.events(&room, "state_after").is_empty());
    let name = "org.matrix.msc4222.use_state_after";
    let sync = alice.syncs().since(&since).query(name, true).await;
    let joined = sync.joined(&room).expect("the room");
    let after = &joined["org.matrix.msc4222.state_after"];
    assert!(
        after.is_object() && joined.get("state").is_none(),
        "{joined}"
    );
}

/// What several devices see while everybody talks: every event once, in one order.
#[tokio::test]
async fn nothing_is_lost_between_syncs_under_load() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let room = alice.creates_room().with([&bob, &carol]).await;
    let since = carol.syncs().await.next_batch();
    let talks = |user: User, room: Room| async move {
        let mut sent = Vec::new();
        for number in 0..20 {
            sent.push(user.says(&room, &number.to_string()).await);
        }
        sent
    };
    let watcher = tokio::spawn(watch(carol.clone(), room.clone(), since, 40));
    let (mine, his) = tokio::join!(
        talks(alice.clone(), room.clone()),
        talks(bob.clone(), room.clone())
    );
    let seen = watcher.await.expect("carol watches");
    for sent in [mine, his] {
        let mut found = seen
            .iter()
            .filter(|id| sent.contains(id))
            .cloned()
            .collect::<Vec<_>>();
        assert_eq!(found, sent, "each sender's order");
        found.dedup();
        assert_eq!(found.len(), 20);
    }
}

async fn watch(user: User, room: Room, mut since: String, expected: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < expected {
        let sync: Sync = user
            .syncs()
            .since(&since)
            .filter(&limit(100))
            .timeout(10_000)
            .await;
        since = sync.next_batch();
        let messages = sync
            .events(&room, "timeline")
            .iter()
            .filter(|event| event["type"] == "m.room.message");
        seen.extend(
            messages
                .filter_map(|event| event["event_id"].as_str())
                .map(str::to_owned),
        );
    }
    seen
}

#[tokio::test]
async fn parameters_must_make_sense() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for (name, value) in [
        ("timeout", "soon"),
        ("timeout", "-1"),
        ("since", "yesterday"),
        ("full_state", "maybe"),
        ("set_presence", "dreaming"),
    ] {
        let answer = alice.syncs().query(name, value).call().await;
        let strict = server.is_own() || name == "since";
        assert!(
            answer.status == 400 || !strict,
            "{name}={value}: {}",
            answer.summary()
        );
    }
}

/// MSC2108: a stream of sync bodies, which goes on where it broke off.
#[tokio::test]
async fn news_come_as_server_sent_events() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut events = bob.opens_events("", None).await;
    let (id, first) = events.next().await;
    assert!(first.joined(&room).is_some());
    assert_eq!(id, first.next_batch());
    let message = alice.says(&room, "hello").await;
    let (id, news) = events.next().await;
    assert_eq!(ids(news.events(&room, "timeline")), [message.as_str()]);
    drop(events);
    let message = alice.says(&room, "while away").await;
    let mut events = bob.opens_events("", Some(&id)).await;
    let (_, news) = events.next().await;
    assert_eq!(ids(news.events(&room, "timeline")), [message.as_str()]);

    server.get(EVENTS).await.refused(401, "M_MISSING_TOKEN");
    let garbage = bob.get(EVENTS).query("since", "garbage").await;
    garbage.refused(400, "M_INVALID_PARAM");
    bob.post("/_matrix/client/v3/logout", &json!({})).await.ok();
    alice.says(&room, "not for a session that has ended").await;
    assert!(!events.rest().await.contains("not for"));

    // By its old name, too.
    let alone = alice.opens_events("org.matrix.msc4222.use_state_after=true", None);
    let (_, first) = alone.await.next().await;
    let joined = first.joined(&room).expect("the room");
    let after = &joined["org.matrix.msc4222.state_after"];
    assert!(
        after.is_object() && joined.get("state").is_none(),
        "{joined}"
    );
}
