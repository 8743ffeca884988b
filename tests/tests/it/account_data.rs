//! What users keep on the server for themselves.

use serde_json::json;
use tests::{TestServer, path::v3};

#[tokio::test]
async fn account_data_is_kept_and_told_to_the_own_devices() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let tablet = alice.logs_in_again().await;
    let since = tablet.syncs().await.next_batch();
    let path = v3(&["user", &alice.id, "account_data", "org.example.settings"]);
    let content = json!({"theme": "dark", "nested": [1, {"a": null}]});
    let waiting = tablet
        .watches(&since, |sync| {
            sync.account_data("org.example.settings").cloned()
        })
        .await;
    alice.put(path.clone(), &content).await.ok();
    assert_eq!(waiting.await.expect("a sync").0, content);
    assert_eq!(tablet.get(path.clone()).await.ok(), content);
    assert_eq!(
        tablet.syncs().await.account_data("org.example.settings"),
        Some(&content)
    );
    assert_eq!(bob.syncs().await.account_data("org.example.settings"), None);
    for answer in [bob.get(path.clone()), bob.put(path, &json!({}))] {
        answer.await.refused(403, "M_FORBIDDEN");
    }
    alice
        .get(v3(&["user", &alice.id, "account_data", "org.example.none"]))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_room_has_account_data_of_its_own() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let since = alice.syncs().await.next_batch();
    let path = v3(&[
        "user",
        &alice.id,
        "rooms",
        &room.id,
        "account_data",
        "org.example.colour",
    ]);
    alice
        .put(path.clone(), &json!({"colour": "red"}))
        .await
        .ok();
    let sync = alice.syncs().since(&since).await;
    assert_eq!(
        sync.of_room(&room, "account_data", "org.example.colour"),
        Some(&json!({"colour": "red"}))
    );
    assert!(sync.account_data("org.example.colour").is_none());
    assert_eq!(alice.get(path.clone()).await.ok(), json!({"colour": "red"}));
    bob.get(path).await.refused(403, "M_FORBIDDEN");
    let theirs = v3(&[
        "user",
        &bob.id,
        "rooms",
        &room.id,
        "account_data",
        "org.example.colour",
    ]);
    bob.get(theirs).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn what_the_server_keeps_is_not_set_this_way() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let rules = v3(&["user", &alice.id, "account_data", "m.push_rules"]);
    assert_eq!(alice.put(rules, &json!({})).await.status, 405);
    let marker = v3(&[
        "user",
        &alice.id,
        "rooms",
        &room.id,
        "account_data",
        "m.fully_read",
    ]);
    assert_eq!(
        alice.put(marker, &json!({"event_id": "$x"})).await.status,
        405
    );
    let text = v3(&["user", &alice.id, "account_data", "org.example.text"]);
    let answer = alice.put(text, &json!("no object")).await;
    assert_eq!(
        (answer.status, answer.errcode().as_deref()),
        (400, Some("M_BAD_JSON"))
    );
}

#[tokio::test]
async fn rooms_carry_tags() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let tags = v3(&["user", &alice.id, "rooms", &room.id, "tags"]);
    let tag = |name: &str| v3(&["user", &alice.id, "rooms", &room.id, "tags", name]);
    assert_eq!(alice.get(tags.clone()).await.ok()["tags"], json!({}));
    let since = alice.syncs().await.next_batch();
    alice
        .put(tag("m.favourite"), &json!({"order": 0.25}))
        .await
        .ok();
    alice.put(tag("u.Arbeit ☕"), &json!({})).await.ok();
    let expected = json!({"m.favourite": {"order": 0.25}, "u.Arbeit ☕": {}});
    assert_eq!(alice.get(tags.clone()).await.ok()["tags"], expected);
    let here = room.clone();
    let look =
        move |sync: &tests::sync::Sync| sync.of_room(&here, "account_data", "m.tag").cloned();
    assert_eq!(alice.syncs_when(&since, look).await.0["tags"], expected);
    alice.delete(tag("m.favourite")).await.ok();
    assert_eq!(
        alice.get(tags.clone()).await.ok()["tags"],
        json!({"u.Arbeit ☕": {}})
    );
    let since = alice.syncs().await.next_batch();
    alice.delete(tag("u.Arbeit ☕")).await.ok();
    let here = room.clone();
    let look =
        move |sync: &tests::sync::Sync| sync.of_room(&here, "account_data", "m.tag").cloned();
    assert_eq!(alice.syncs_when(&since, look).await.0["tags"], json!({}));
    bob.get(tags).await.refused(403, "M_FORBIDDEN");
    let long = "t".repeat(256);
    assert_eq!(alice.put(tag(&long), &json!({})).await.status, 400);
}

/// MSC3391: what is taken away is seen empty once, and is gone.
#[tokio::test]
async fn account_data_can_be_taken_away() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    let unstable = |path: String| path.replace("/v3/", "/unstable/org.matrix.msc3391/");
    let global = v3(&["user", &alice.id, "account_data", "org.example.gone"]);
    let in_room = v3(&[
        "user",
        &alice.id,
        "rooms",
        &room.id,
        "account_data",
        "org.example.gone",
    ]);
    for by_delete in [true, false] {
        for path in [&global, &in_room] {
            alice.put(path.clone(), &json!({"a": 1})).await.ok();
        }
        let since = alice.syncs().await.next_batch();
        for path in [&global, &in_room] {
            if by_delete {
                bob.delete(unstable(path.clone()))
                    .await
                    .refused(403, "M_FORBIDDEN");
                alice.delete(unstable(path.clone())).await.ok();
                alice.delete(unstable(path.clone())).await.ok();
            } else {
                alice.put(path.clone(), &json!({})).await.ok();
            }
            alice.get(path.clone()).await.refused(404, "M_NOT_FOUND");
        }
        let sync = alice.syncs().since(&since).await;
        let empty = json!({});
        assert_eq!(sync.account_data("org.example.gone"), Some(&empty));
        assert_eq!(
            sync.of_room(&room, "account_data", "org.example.gone"),
            Some(&empty)
        );
        let first = alice.syncs().await;
        assert_eq!(first.account_data("org.example.gone"), None);
        assert_eq!(
            first.of_room(&room, "account_data", "org.example.gone"),
            None
        );
    }
    let rules = v3(&["user", &alice.id, "account_data", "m.push_rules"]);
    let refused = alice.delete(unstable(rules)).await;
    assert_eq!(refused.status, 405, "{}", refused.summary());
}
