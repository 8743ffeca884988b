//! Reports to those who run the server.

use serde_json::json;
use tests::{TestServer, path::v3};

#[tokio::test]
async fn events_are_reported_by_those_who_can_see_them() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().visibility("joined").await;
    let early = alice.says(&room, "before bob").await;
    alice.invites(&room, &bob).await.ok();
    bob.joins(&room).await.ok();
    let spam = alice.says(&room, "spam").await;
    let report = |event: &str| v3(&["rooms", &room.id, "report", event]);
    for body in [
        json!({"reason": "spam", "score": -100}),
        json!({"reason": ""}),
        json!({}),
    ] {
        bob.post(report(&spam), &body).await.ok();
    }
    let body = json!({"reason": "spam"});
    bob.post(report(&early), &body)
        .await
        .refused(404, "M_NOT_FOUND");
    bob.post(report("$nothing"), &body)
        .await
        .refused(404, "M_NOT_FOUND");
    eve.post(report(&spam), &body)
        .await
        .refused(404, "M_NOT_FOUND");
    let nowhere = v3(&["rooms", "!nowhere:localhost", "report", &spam]);
    bob.post(nowhere, &body).await.refused(404, "M_NOT_FOUND");
    for body in [json!({"reason": 1}), json!({"score": "bad"})] {
        bob.post(report(&spam), &body)
            .await
            .refused(400, "M_BAD_JSON");
    }
    let long = json!({"reason": "x".repeat(10_001)});
    bob.post(report(&spam), &long)
        .await
        .refused(400, "M_INVALID_PARAM");
    bob.leaves(&room).await.ok();
    bob.post(report(&spam), &body)
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn rooms_and_users_are_reported_by_anybody() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let body = json!({"reason": "spam"});
    eve.post(v3(&["rooms", &room.id, "report"]), &body)
        .await
        .ok();
    eve.post(v3(&["users", &alice.id, "report"]), &body)
        .await
        .ok();
    eve.post(v3(&["users", "@somebody:else.where", "report"]), &body)
        .await
        .ok();
    let nobody = format!("@nobody-at-all:{}", alice.server_name());
    eve.post(v3(&["users", &nobody, "report"]), &body)
        .await
        .refused(404, "M_NOT_FOUND");
    eve.post(v3(&["rooms", "!nowhere:localhost", "report"]), &body)
        .await
        .refused(404, "M_NOT_FOUND");
    eve.post(v3(&["users", &alice.id, "report"]), &json!({"reason": 1}))
        .await
        .refused(400, "M_BAD_JSON");
}
