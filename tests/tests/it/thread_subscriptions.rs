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

#[tokio::test]
async fn devices_hear_of_followed_threads_and_page_back_through_the_rest() {
    const NAME: &str = "io.element.msc4308.thread_subscriptions";
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut roots = Vec::new();
    for text in ["one", "two", "three"] {
        let root = alice.says(&room, text).await;
        alice.put(path(&room, &root), &json!({})).await.ok();
        roots.push(root);
    }
    let ask = |pos: Option<&str>, timeout: u64| {
        let wanted = json!({"enabled": true, "limit": 2});
        let mut body = json!({"extensions": {NAME: wanted}, "timeout": timeout});
        if let Some(pos) = pos {
            body["pos"] = pos.into();
        }
        alice.post("/_matrix/client/v4/sync", &body)
    };
    let first = ask(None, 0).await.ok();
    let told = &first["extensions"][NAME];
    let threads = told["subscribed"][&room.id].as_object().expect("a room");
    assert_eq!(threads.len(), 2, "{first}");
    assert_eq!(threads[&roots[2]]["automatic"], false, "the newest: {told}");

    let list = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions";
    let from = told["prev_batch"].as_str().expect("there are more");
    let page = alice
        .get(list)
        .query("dir", "b")
        .query("from", from)
        .await
        .ok();
    let older = page["subscribed"][&room.id].as_object().expect("a room");
    assert!(older.len() == 1 && older.contains_key(&roots[0]), "{page}");
    let whole = alice
        .get(list)
        .query("dir", "b")
        .query("limit", "2")
        .await
        .ok();
    assert_eq!(whole["end"], from, "{whole}");
    for (name, value) in [("dir", "f"), ("limit", "0"), ("from", "nonsense")] {
        let mut call = alice.get(list).query(name, value);
        if name != "dir" {
            call = call.query("dir", "b");
        }
        call.await.refused(400, "M_INVALID_PARAM");
    }
    let theirs = bob.get(list).query("dir", "b").await.ok();
    assert_eq!(theirs, json!({}), "others follow what they follow");

    // Whoever waits hears of it at once, and only of the newest.
    let pos = first["pos"].as_str().expect("a place").to_owned();
    let waiting = {
        let call = ask(Some(&pos), 30_000);
        tokio::spawn(async move { call.await.ok() })
    };
    alice.delete(path(&room, &roots[2])).await.ok();
    let heard = waiting.await.expect("an answer");
    let told = &heard["extensions"][NAME];
    assert!(
        told["unsubscribed"][&room.id][&roots[2]]["bump_stamp"].is_i64(),
        "{heard}"
    );
    assert_eq!(told.get("subscribed"), None, "{heard}");
    let since = alice
        .get(list)
        .query("dir", "b")
        .query("to", &pos)
        .await
        .ok();
    assert_eq!(since["unsubscribed"], told["unsubscribed"]);
}
