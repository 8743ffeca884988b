//! Threads that people follow.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, path::v3};

fn path(room: &Room, root: &str) -> String {
    let path = v3(&["rooms", &room.id, "thread", root, "subscription"]);
    path.replace("/v3/", "/unstable/io.element.msc4306/")
}

async fn replies(user: &User, room: &Room, root: &str) -> String {
    let relation = json!({"rel_type": "m.thread", "event_id": root});
    let content = json!({"msgtype": "m.text", "body": "reply", "m.relates_to": relation});
    user.sends(room, "m.room.message", &content)
        .await
        .ok()
        .event_id
}

#[tokio::test]
async fn what_the_user_wishes_stands_above_what_the_client_decides() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let root = alice.says(&room, "a thread").await;
    let reply = replies(&alice, &room, &root).await;
    let path = path(&room, &root);
    let is_automatic =
        async || -> Value { alice.get(path.clone()).await.ok()["automatic"].clone() };
    alice.get(path.clone()).await.refused(404, "M_NOT_FOUND");
    alice.delete(path.clone()).await.ok();
    let automatic = |cause: &str| json!({"automatic": cause});
    alice.put(path.clone(), &automatic(&reply)).await.ok();
    assert_eq!(is_automatic().await, true);
    alice.put(path.clone(), &json!({})).await.ok();
    assert_eq!(is_automatic().await, false);
    alice.put(path.clone(), &automatic(&reply)).await.ok();
    assert_eq!(is_automatic().await, false, "still by hand");
    eve.get(path.clone()).await.refused(404, "M_NOT_FOUND");

    for _ in 0..2 {
        alice.delete(path.clone()).await.ok();
    }
    alice.get(path.clone()).await.refused(404, "M_NOT_FOUND");
    alice
        .put(path.clone(), &automatic(&reply))
        .await
        .refused(409, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION");
    let later = replies(&alice, &room, &root).await;
    alice.put(path.clone(), &automatic(&later)).await.ok();
    assert_eq!(is_automatic().await, true);
}

#[tokio::test]
async fn only_an_event_in_the_thread_is_a_cause_to_follow_it() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let root = alice.says(&room, "a thread").await;
    let other = alice.says(&room, "another").await;
    let elsewhere = replies(&alice, &room, &other).await;
    for cause in [&root, &other, &elsewhere, "$nothing"] {
        alice
            .put(path(&room, &root), &json!({"automatic": cause}))
            .await
            .refused(400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD");
    }
    alice
        .get(path(&room, &root))
        .await
        .refused(404, "M_NOT_FOUND");
    for call in [
        alice.put(path(&room, "$nothing"), &json!({})),
        alice.delete(path(&room, "$nothing")),
    ] {
        call.await.refused(404, "M_NOT_FOUND");
    }
}
