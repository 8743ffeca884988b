//! Who is typing.

use serde_json::json;
use tests::{TestServer, path::v3};

#[tokio::test]
async fn typing_is_seen_and_stops() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut since = bob.syncs().await.next_batch();
    for (typing, expected) in [(true, json!([alice.id])), (false, json!([]))] {
        let here = room.clone();
        let waiting = bob
            .watches(&since, move |sync| {
                sync.of_room(&here, "ephemeral", "m.typing").cloned()
            })
            .await;
        alice.types(&room, typing).await.ok();
        let (content, next) = waiting.await.expect("a sync");
        assert_eq!(content["user_ids"], expected);
        since = next;
    }
}

#[tokio::test]
async fn typing_expires_and_says_so() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let path = v3(&["rooms", &room.id, "typing", &alice.id]);
    alice
        .put(path, &json!({"typing": true, "timeout": 200}))
        .await
        .ok();
    let mut sync = bob.syncs().await;
    for _ in 0..10 {
        let found = sync
            .of_room(&room, "ephemeral", "m.typing")
            .map(|content| content["user_ids"].clone());
        if found == Some(json!([])) {
            return;
        }
        sync = bob.syncs().since(&sync.next_batch()).timeout(10_000).await;
    }
    panic!("alice types for ever");
}

#[tokio::test]
async fn one_types_only_for_oneself_and_where_one_is() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let for_bob = v3(&["rooms", &room.id, "typing", &bob.id]);
    let answer = alice
        .put(for_bob, &json!({"typing": true, "timeout": 1000}))
        .await;
    assert!(matches!(answer.status, 400 | 403), "{}", answer.summary());
    eve.types(&room, true).await.refused(403, "M_FORBIDDEN");
    let since = bob.syncs().await.next_batch();
    bob.types(&room, true).await.ok();
    assert!(eve.syncs().await.joined(&room).is_none());
    assert!(bob.syncs().since(&since).await.joined(&room).is_some());
}
