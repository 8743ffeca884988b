//! Who may read what: history visibility.

use serde_json::{Value, json};
use tests::{TestServer, path::v3};

fn bodies(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn a_newcomer_reads_back_as_far_as_the_room_allows() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for (visibility, expected) in [
        (
            "world_readable",
            vec!["before the invite", "after the invite", "after the join"],
        ),
        (
            "shared",
            vec!["before the invite", "after the invite", "after the join"],
        ),
        ("invited", vec!["after the invite", "after the join"]),
        ("joined", vec!["after the join"]),
    ] {
        let room = alice.creates_room().visibility(visibility).await;
        let hidden = alice.says(&room, "before the invite").await;
        alice.invites(&room, &bob).await.ok();
        alice.says(&room, "after the invite").await;
        bob.joins(&room).await.ok();
        let last = alice.says(&room, "after the join").await;

        let mut backwards = bob.all_messages(&room, "b", 3).await;
        backwards.reverse();
        assert_eq!(bodies(&backwards), expected, "{visibility}, backwards");
        assert_eq!(
            bodies(&bob.all_messages(&room, "f", 3).await),
            expected,
            "{visibility}, forwards"
        );
        let timeline = bob
            .syncs()
            .filter(&json!({"room": {"timeline": {"limit": 100}}}))
            .await;
        assert_eq!(
            bodies(timeline.events(&room, "timeline")),
            expected,
            "{visibility}, sync"
        );
        let found = bob.event(&room, &hidden).await;
        assert_eq!(
            found.status,
            if expected.len() == 3 { 200 } else { 404 },
            "{visibility}, event"
        );
        let context = bob
            .get(v3(&["rooms", &room.id, "context", &last]))
            .query("limit", 50)
            .await
            .ok();
        let before = context["events_before"].as_array().expect("events");
        assert_eq!(
            bodies(before).len(),
            expected.len() - 1,
            "{visibility}, context"
        );
    }
}

#[tokio::test]
async fn who_leaves_keeps_what_was_there_and_learns_nothing_new() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for visibility in ["shared", "invited", "joined"] {
        let room = alice
            .creates_room()
            .visibility(visibility)
            .with([&bob])
            .await;
        let seen = alice.says(&room, "with bob").await;
        bob.leaves(&room).await.ok();
        let unseen = alice.says(&room, "without bob").await;
        bob.event(&room, &seen).await.ok();
        bob.event(&room, &unseen).await.refused(404, "M_NOT_FOUND");
        // Synapse shows too much forwards.
        let directions = if server.is_own() {
            ["b", "f"].as_slice()
        } else {
            &["b"]
        };
        for dir in directions {
            assert_eq!(
                bodies(&bob.all_messages(&room, dir, 10).await),
                ["with bob"],
                "{visibility}, {dir}"
            );
        }
        // Back again, the rule of the time decides.
        alice.invites(&room, &bob).await.ok();
        bob.joins(&room).await.ok();
        let status = bob.event(&room, &unseen).await.status;
        assert_eq!(
            status,
            if visibility == "shared" { 200 } else { 404 },
            "{visibility}, back"
        );
    }
}

#[tokio::test]
async fn the_rule_at_the_event_counts_and_not_that_of_now() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().visibility("joined").await;
    let set = |visibility: &str| {
        alice.sets_state(
            &room,
            "m.room.history_visibility",
            "",
            &json!({"history_visibility": visibility}),
        )
    };
    alice.says(&room, "hidden one").await;
    set("shared").await.ok();
    alice.says(&room, "open").await;
    set("joined").await.ok();
    alice.says(&room, "hidden two").await;
    alice.invites(&room, &bob).await.ok();
    bob.joins(&room).await.ok();
    assert_eq!(bodies(&bob.all_messages(&room, "f", 50).await), ["open"]);
}

#[tokio::test]
async fn anyone_reads_where_the_world_may() {
    let server = TestServer::start().await;
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().visibility("world_readable").await;
    let message = alice.says(&room, "for all").await;
    eve.event(&room, &message).await.ok();
    assert_eq!(bodies(&eve.all_messages(&room, "b", 10).await), ["for all"]);
    eve.state(&room, "m.room.create", "").await.ok();
    eve.get(v3(&["rooms", &room.id, "state"])).await.ok();
    eve.sends(&room, "m.room.message", &json!({"body": "hi"}))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_event_says_what_its_reader_was_then() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    let before = alice.says(&room, "before").await;
    alice.invites(&room, &bob).await.ok();
    let invited = alice.says(&room, "invited").await;
    bob.joins(&room).await.ok();
    let joined = alice.says(&room, "joined").await;
    for (event, membership) in [(&before, "leave"), (&invited, "invite"), (&joined, "join")] {
        assert_eq!(
            bob.event(&room, event).await.ok()["unsigned"]["membership"],
            membership,
            "event"
        );
        let messages = bob.all_messages(&room, "b", 50).await;
        let found = messages
            .iter()
            .find(|e| e["event_id"] == *event)
            .expect("the event");
        assert_eq!(found["unsigned"]["membership"], membership, "messages");
    }
}
