//! Sending, redacting and reading messages.

use tests::TestServer;

#[tokio::test]
async fn a_redacted_message_loses_its_body_for_everyone() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob, &eve]).await;
    let message = bob.says(&room, "the secret").await;

    let redaction = alice.redacts(&room, &message).txn("t1").await.ok().event_id;
    assert_eq!(
        alice.redacts(&room, &message).txn("t1").await.ok().event_id,
        redaction,
        "on retry"
    );
    let seen = eve.syncs_until(&room, &redaction).await.event(&message);
    assert!(seen.content.is_empty(), "still readable: {seen:?}");
    eve.redacts(&room, &redaction)
        .await
        .refused(403, "M_FORBIDDEN");
}
