//! What rings, and for whom.

use serde_json::{Value, json};
use tests::{TestServer, User, path::v3};

fn rule(kind: &str, id: &str) -> String {
    v3(&["pushrules", "global", kind, id])
}

/// The ids of a user's rules of one kind, in the order in which they are tried.
async fn ids(user: &User, kind: &str) -> Vec<String> {
    let rules = user.get("/_matrix/client/v3/pushrules/global/").await.ok();
    let rules = rules[kind].as_array().cloned().unwrap_or_default();
    let id = |rule: &Value| rule["rule_id"].as_str().map(str::to_owned);
    rules.iter().filter_map(id).collect()
}

#[tokio::test]
async fn everybody_starts_with_the_default_push_rules() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    // Off until the user turns it on, and tried before all others.
    assert_eq!(
        ids(&alice, "override").await.first().map(String::as_str),
        Some(".m.rule.master")
    );
    let underride = ids(&alice, "underride").await;
    assert!(
        underride.contains(&".m.rule.message".to_owned()),
        "{underride:?}"
    );
    let all = alice.get("/_matrix/client/v3/pushrules/").await.ok();
    for kind in ["override", "content", "room", "sender", "underride"] {
        let rules = &all["global"][kind];
        assert!(rules.is_array(), "{kind}, also where there are none: {all}");
    }
    let sync = alice.syncs().await;
    assert_eq!(
        sync.account_data("m.push_rules"),
        Some(&all),
        "in the first sync"
    );
    let data = v3(&["user", &alice.id, "account_data", "m.push_rules"]);
    if server.is_own() {
        assert_eq!(alice.get(data.clone()).await.ok(), all);
    }
    alice.put(data, &all).await.refused_by_us(405, "M_BAD_JSON");
    server
        .get("/_matrix/client/v3/pushrules/")
        .await
        .refused(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn rules_are_added_moved_and_deleted_and_all_devices_hear_of_it() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    let since = alice.syncs().await.next_batch();
    let heard = alice
        .watches(&since, |sync| sync.account_data("m.push_rules").cloned())
        .await;
    let word = |pattern: &str| json!({"pattern": pattern, "actions": ["notify", {"set_tweak": "highlight"}]});
    for id in ["a", "b", "c"] {
        alice.put(rule("content", id), &word(id)).await.ok();
    }
    let (rules, _) = heard.await.expect("a sync");
    assert_eq!(rules["global"]["content"][0]["rule_id"], "a", "{rules}");
    assert_eq!(
        ids(&alice, "content").await,
        ["c", "b", "a"],
        "new ones first"
    );

    for (id, query, order) in [
        ("a", ("before", "c"), ["a", "c", "b"]),
        ("a", ("after", "b"), ["c", "b", "a"]),
        ("c", ("after", "a"), ["b", "a", "c"]),
        ("a", ("before", "b"), ["a", "b", "c"]),
    ] {
        alice
            .put(rule("content", id), &word("changed"))
            .query(query.0, query.1)
            .await
            .ok();
        assert_eq!(ids(&alice, "content").await, order, "{id} {query:?}");
    }
    // Again without a place: it stays.
    alice.put(rule("content", "b"), &word("b")).await.ok();
    assert_eq!(ids(&alice, "content").await, ["a", "b", "c"]);
    let b = alice.get(rule("content", "b")).await.ok();
    let expected = json!({
        "rule_id": "b", "default": false, "enabled": true, "pattern": "b",
        "actions": ["notify", {"set_tweak": "highlight"}],
    });
    if server.is_own() {
        assert_eq!(b, expected);
    }

    alice.delete(rule("content", "b")).await.ok();
    assert_eq!(ids(&alice, "content").await, ["a", "c"]);
    alice
        .get(rule("content", "b"))
        .await
        .refused(404, "M_NOT_FOUND");
    alice
        .delete(rule("content", "b"))
        .await
        .refused(404, "M_NOT_FOUND");
    // What a rule does is kept as it was written, whether or not it means anything.
    let odd = json!({"actions": ["dont_notify", "coalesce"], "conditions": [{"kind": "org.example.odd", "x": 1}]});
    alice.put(rule("override", "odd"), &odd).await.ok();
    let kept = alice.get(rule("override", "odd")).await.ok();
    assert_eq!(kept["conditions"], odd["conditions"]);
    if server.is_own() {
        assert_eq!(kept["actions"], odd["actions"]);
    }
    assert_eq!(
        ids(&alice, "override").await[..2],
        [".m.rule.master", "odd"]
    );
}

#[tokio::test]
async fn default_rules_are_changed_but_not_deleted() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    let message = |what: &str| format!("{}/{what}", rule("underride", ".m.rule.message"));
    alice
        .put(message("enabled"), &json!({"enabled": false}))
        .await
        .ok();
    assert_eq!(
        alice.get(message("enabled")).await.ok(),
        json!({"enabled": false})
    );
    let loud = json!({"actions": ["notify", {"set_tweak": "sound", "value": "default"}]});
    alice.put(message("actions"), &loud).await.ok();
    assert_eq!(alice.get(message("actions")).await.ok(), loud);
    let whole = alice.get(rule("underride", ".m.rule.message")).await.ok();
    assert_eq!(
        (&whole["enabled"], &whole["default"]),
        (&json!(false), &json!(true))
    );
    let answer = alice.delete(rule("underride", ".m.rule.message")).await;
    assert!(matches!(answer.status, 400 | 404), "{}", answer.summary());
    for what in ["enabled", "actions"] {
        let path = format!("{}/{what}", rule("underride", ".m.rule.nothing"));
        let body = json!({"enabled": true, "actions": []});
        alice.put(path, &body).await.refused(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    let word = json!({"pattern": "a", "actions": ["notify"]});
    alice.put(rule("content", "a"), &word).await.ok();
    for (kind, id) in [
        ("content", ".mine"),
        ("content", "a/b"),
        ("content", "a\\b"),
        ("room", "no-room"),
        ("nothing", "a"),
    ] {
        let answer = alice.put(rule(kind, id), &word).await;
        assert_eq!(answer.status, 400, "{kind} {id}: {}", answer.summary());
    }
    for (query, next) in [
        ("before", "none"),
        ("after", "none"),
        ("after", "a"),
        ("before", ".m.rule.master"),
    ] {
        let answer = alice
            .put(rule("content", "a"), &word)
            .query(query, next)
            .await;
        assert!(
            (400..500).contains(&answer.status) || !server.is_own(),
            "{query} {next}: {}",
            answer.summary()
        );
    }
    for body in [
        json!({"actions": ["notify"]}),
        json!({"pattern": "a"}),
        json!({"pattern": "a", "actions": 7}),
    ] {
        let answer = alice.put(rule("content", "a"), &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.summary());
    }
}

#[tokio::test]
async fn unread_counts_follow_what_the_other_device_reads() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let tablet = bob.logs_in_again().await;
    let message = alice.says(&room, "hello").await;
    let mention =
        json!({"msgtype": "m.text", "body": "bob!", "m.mentions": {"user_ids": [bob.id]}});
    let last = alice.sends(&room, "m.room.message", &mention).await.ok();
    let sync = tablet.syncs().await;
    let counts = |sync: &tests::sync::Sync| {
        let counts = &sync.joined(&room)?["unread_notifications"];
        Some((
            counts["notification_count"].as_u64()?,
            counts["highlight_count"].as_u64()?,
        ))
    };
    assert_eq!(counts(&sync), Some((2, 1)));
    let here = room.clone();
    let waiting = tablet
        .watches(&sync.next_batch(), move |sync| {
            let counts = &sync.joined(&here)?["unread_notifications"];
            (counts["notification_count"] == 0).then_some(())
        })
        .await;
    bob.reads(&room, "m.read.private", &last.event_id)
        .await
        .ok();
    waiting.await.expect("a sync with the new count");
    let path = "/_matrix/client/v3/notifications";
    let listed = bob.get(path).query("only", "highlight").await.ok();
    let listed = listed["notifications"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["event"]["event_id"], last.event_id.as_str());
    assert_eq!(
        (&listed[0]["read"], &listed[0]["room_id"]),
        (&json!(true), &json!(room.id))
    );
    let all = bob.get(path).await.ok();
    let of = |index: usize| all["notifications"][index]["event"]["event_id"].as_str();
    assert_eq!((of(0), of(1)), (Some(&*last.event_id), Some(&*message)));
    bob.get(path)
        .query("from", "nowhere")
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_a_device_alone_is_told_to_ring_for_goes_with_it() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    let tablet = alice.logs_in_again().await;
    let settings = |device: &str| {
        let kind = format!("org.matrix.msc3890.local_notification_settings.{device}");
        v3(&["user", &alice.id, "account_data", &kind])
    };
    let silent = json!({"is_silenced": true});
    for device in [&alice, &tablet] {
        let device = device.device.as_str();
        alice.put(settings(device), &silent).await.ok();
    }
    tablet
        .post("/_matrix/client/v3/logout", &json!({}))
        .await
        .ok();
    if server.is_own() {
        let gone = alice.get(settings(&tablet.device)).await;
        gone.refused(404, "M_NOT_FOUND");
    }
    assert_eq!(alice.get(settings(&alice.device)).await.ok(), silent);
}
