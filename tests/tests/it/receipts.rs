//! Receipts and read markers.

use serde_json::json;
use tests::{TestServer, path::v3};

#[tokio::test]
async fn a_receipt_is_seen_by_all() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let message = alice.says(&room, "hello").await;
    let since = alice.syncs().await.next_batch();
    let here = room.clone();
    let waiting = alice
        .watches(&since, move |sync| {
            sync.of_room(&here, "ephemeral", "m.receipt").cloned()
        })
        .await;
    bob.reads(&room, "m.read", &message).await.ok();
    let (content, _) = waiting.await.expect("a sync");
    assert!(
        content[&message]["m.read"][&bob.id]["ts"].is_i64(),
        "{content}"
    );
    let fresh = alice.syncs().await;
    let content = fresh
        .of_room(&room, "ephemeral", "m.receipt")
        .expect("a receipt in the first sync");
    assert!(
        content[&message]["m.read"].get(&bob.id).is_some(),
        "{content}"
    );
}

#[tokio::test]
async fn a_private_receipt_stays_private() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let message = alice.says(&room, "hello").await;
    bob.reads(&room, "m.read.private", &message).await.ok();
    let seen = |sync: &tests::sync::Sync| {
        let content = sync
            .of_room(&room, "ephemeral", "m.receipt")
            .cloned()
            .unwrap_or_default();
        content[&message]["m.read.private"].get(&bob.id).is_some()
    };
    assert!(seen(&bob.syncs().await), "by bob");
    assert!(!seen(&alice.syncs().await), "by alice");
}

#[tokio::test]
async fn a_receipt_does_not_go_back() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let [first, second] = [alice.says(&room, "1").await, alice.says(&room, "2").await];
    bob.reads(&room, "m.read", &second).await.ok();
    bob.reads(&room, "m.read", &first).await.ok();
    let sync = alice.syncs().await;
    let content = sync
        .of_room(&room, "ephemeral", "m.receipt")
        .expect("a receipt");
    assert!(
        content[&second]["m.read"].get(&bob.id).is_some() && content.get(&first).is_none(),
        "{content}"
    );
}

#[tokio::test]
async fn threads_have_receipts_of_their_own() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let message = alice.says(&room, "hello").await;
    let path = v3(&["rooms", &room.id, "receipt", "m.read", &message]);
    bob.post(path.clone(), &json!({"thread_id": "main"}))
        .await
        .ok();
    let sync = alice.syncs().await;
    let content = sync
        .of_room(&room, "ephemeral", "m.receipt")
        .expect("a receipt");
    assert_eq!(content[&message]["m.read"][&bob.id]["thread_id"], "main");
    for wrong in [json!({"thread_id": ""}), json!({"thread_id": 7})] {
        let answer = bob.post(path.clone(), &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.summary());
    }
    let marker = v3(&["rooms", &room.id, "receipt", "m.fully_read", &message]);
    assert_eq!(
        bob.post(marker, &json!({"thread_id": "main"})).await.status,
        400
    );
}

#[tokio::test]
async fn read_markers_set_all_three() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let [first, second] = [alice.says(&room, "1").await, alice.says(&room, "2").await];
    let since = bob.syncs().await.next_batch();
    let body = json!({"m.fully_read": first, "m.read": second, "m.read.private": second});
    bob.in_room(&room, "read_markers", &body).await.ok();
    let sync = bob.syncs().since(&since).await;
    let marker = sync
        .of_room(&room, "account_data", "m.fully_read")
        .expect("a marker");
    assert_eq!(marker["event_id"], first);
    let receipts = sync
        .of_room(&room, "ephemeral", "m.receipt")
        .expect("receipts");
    for kind in ["m.read", "m.read.private"] {
        assert!(receipts[&second][kind].get(&bob.id).is_some(), "{receipts}");
    }
    bob.reads(&room, "m.fully_read", &second).await.ok();
    let path = v3(&[
        "user",
        &bob.id,
        "rooms",
        &room.id,
        "account_data",
        "m.fully_read",
    ]);
    let marker = async || bob.get(path.clone()).await.ok()["event_id"].clone();
    assert_eq!(marker().await, second);

    // It goes back only on purpose.
    bob.reads(&room, "m.fully_read", &first).await.ok();
    let back = json!({"m.fully_read": first});
    bob.in_room(&room, "read_markers", &back).await.ok();
    assert_eq!(marker().await, second, "backwards by mistake");
    if server.is_own() {
        let back = json!({"m.fully_read": first, "com.beeper.allow_backward": true});
        bob.in_room(&room, "read_markers", &back).await.ok();
        assert_eq!(marker().await, first);
        let receipt = v3(&["rooms", &room.id, "receipt", "m.read", &first]);
        let back = json!({"com.beeper.allow_backward": true});
        bob.post(receipt, &back)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_receipt_needs_a_known_kind_and_a_member() {
    let server = TestServer::start().await;
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let message = alice.says(&room, "hello").await;
    let answer = alice.reads(&room, "m.seen", &message).await;
    assert_eq!(answer.status, 400, "{}", answer.summary());
    let answer = eve.reads(&room, "m.read", &message).await;
    assert!(
        answer.status == 403 || !server.is_own(),
        "{}",
        answer.summary()
    );
}
