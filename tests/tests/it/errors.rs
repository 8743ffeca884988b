//! Bad input: it gets the right refusal with a sentence that helps, and changes nothing.

use serde_json::{Value, json};
use tests::{Call, Room, TestServer, User, path::v3};

/// A send with any bytes as its body.
fn send(user: &User, room: &Room, body: impl Into<Vec<u8>>) -> Call {
    let txn = format!("{:016x}", rand::random::<u64>());
    user.call(
        reqwest::Method::PUT,
        v3(&["rooms", &room.id, "send", "org.example.thing", &txn]),
    )
    .bytes(body)
}

/// How many events the room has.
async fn count(user: &User, room: &Room) -> usize {
    user.all_messages(room, "b", 100).await.len()
}

#[tokio::test]
async fn what_is_no_json_is_not_json() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let before = count(&alice, &room).await;
    for body in [
        b"".as_slice(),
        b"{",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{a: 1}",
        b"{\"a\": 1} trailing",
        b"{\"a\": 01}",
        b"{\"a\": \"\xff\xfe\"}",
        b"\xc3\x28",
        b"{\"a\": \"\n\"}",
        b"not json at all",
        b"<xml/>",
    ] {
        let answer = send(&alice, &room, body).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (400, Some("M_NOT_JSON")),
            "{shown}: {}",
            answer.summary()
        );
    }
    assert_eq!(count(&alice, &room).await, before, "something was written");
}

#[tokio::test]
async fn what_json_leaves_open_is_refused_too() {
    // Synapse takes duplicate keys and unpaired surrogates.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let before = count(&alice, &room).await;
    for body in [
        r#"{"a": 1, "a": 2}"#,
        r#"{"deep": [{"a": 1, "b": 2, "a": 3}]}"#,
        r#"{"a": 1, "\u0061": 2}"#,
        r#"{"a": "\ud800"}"#,
        r#"{"a": "\udc00\ud800"}"#,
        r#"{"\udfff": 1}"#,
        r#"{"a": NaN}"#,
        r#"{"a": Infinity}"#,
        r#"{"a": -Infinity}"#,
    ] {
        let answer = send(&alice, &room, body).await;
        let errcode = answer.errcode().unwrap_or_default();
        assert!(
            answer.status == 400 && matches!(errcode.as_str(), "M_NOT_JSON" | "M_BAD_JSON"),
            "{body}: {}",
            answer.summary()
        );
    }
    assert_eq!(count(&alice, &room).await, before, "something was written");
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_bad_json() {
    // Synapse fails at some of it.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    for body in ["[]", "\"text\"", "5", "null", "true", "[{}]"] {
        send(&alice, &room, body).await.refused(400, "M_BAD_JSON");
    }
    let create = "/_matrix/client/v3/createRoom";
    for (path, body) in [
        (create, json!({"invite": "alice"})),
        (create, json!({"name": 5})),
        (create, json!({"initial_state": [5]})),
        (create, json!({"power_level_content_override": []})),
        ("/_matrix/client/v3/login", json!({"type": 5})),
        ("/_matrix/client/v3/register", json!({"username": {"a": 1}})),
        ("/_matrix/client/v3/refresh", json!({"refresh_token": []})),
        (
            "/_matrix/client/v3/delete_devices",
            json!({"devices": "all"}),
        ),
    ] {
        let answer = alice.post(path, &body).leniently().await;
        // Synapse fails at one of these, and words others differently.
        let expected = (400, Some("M_BAD_JSON".to_owned()));
        assert!(
            !server.is_own() || (answer.status, answer.errcode()) == expected,
            "{path} {body}: {}",
            answer.summary()
        );
    }
    for (verb, body) in [
        ("invite", json!({"user_id": 5})),
        ("kick", json!({"user_id": []})),
        ("ban", json!({"user_id": "bob"})),
    ] {
        let answer = alice.in_room(&room, verb, &body).leniently().await;
        assert_eq!(answer.status, 400, "{verb} {body}: {}", answer.summary());
    }
    for verb in ["invite", "kick", "ban", "unban"] {
        let answer = alice.in_room(&room, verb, &json!({})).await;
        let errcode = answer.errcode().unwrap_or_default();
        assert!(
            answer.status == 400 && matches!(errcode.as_str(), "M_MISSING_PARAM" | "M_BAD_JSON"),
            "{verb}: {}",
            answer.summary()
        );
    }
}

#[tokio::test]
async fn events_hold_only_numbers_that_all_read_alike() {
    // Synapse fails at some of it.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let before = count(&alice, &room).await;
    for number in [
        "1.5",
        "9007199254740992",
        "-9007199254740992",
        "1e400",
        "123456789012345678901234567890",
        "1e-5",
    ] {
        for body in [
            format!(r#"{{"n": {number}}}"#),
            format!(r#"{{"deep": [{{"n": {number}}}]}}"#),
        ] {
            let answer = send(&alice, &room, body.clone()).await;
            let errcode = answer.errcode().unwrap_or_default();
            assert!(
                answer.status == 400 && matches!(errcode.as_str(), "M_BAD_JSON" | "M_NOT_JSON"),
                "{body}: {}",
                answer.summary()
            );
        }
        let path = v3(&["rooms", &room.id, "state", "org.example.state", ""]);
        let answer = alice
            .call(reqwest::Method::PUT, path)
            .bytes(format!(r#"{{"n": {number}}}"#))
            .await;
        assert_eq!(
            answer.status,
            400,
            "{number} in state: {}",
            answer.summary()
        );
    }
    assert_eq!(count(&alice, &room).await, before, "something was written");
    send(
        &alice,
        &room,
        r#"{"n": [9007199254740991, -9007199254740991, 0]}"#,
    )
    .await
    .ok();
}

#[tokio::test]
async fn ten_thousand_levels_are_refused_without_a_fuss() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let deep = |open: &str, close: &str| {
        format!("{{\"a\":{}1{}}}", open.repeat(10_000), close.repeat(10_000))
    };
    for body in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(100_000)] {
        let answer = send(&alice, &room, body.clone()).leniently().await;
        assert!(
            answer.status < 500 && answer.status >= 400 || !server.is_own(),
            "{}",
            answer.summary()
        );
        let create = alice
            .call(reqwest::Method::POST, "/_matrix/client/v3/createRoom")
            .bytes(body);
        let answer = create.leniently().await;
        assert!(
            answer.status < 500 && answer.status >= 400 || !server.is_own(),
            "{}",
            answer.summary()
        );
    }
    alice.says(&room, "still there").await;
}

#[tokio::test]
async fn what_is_too_large_is_too_large() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let before = count(&alice, &room).await;
    let large = json!({"body": "x".repeat(66_000)});
    alice
        .sends(&room, "org.example.thing", &large)
        .await
        .refused(413, "M_TOO_LARGE");
    alice
        .sets_state(&room, "org.example.thing", "", &large)
        .await
        .refused(413, "M_TOO_LARGE");
    // The limit counts the whole event, with its hashes and signatures.
    let nearly = json!({"body": "x".repeat(65_500)});
    alice
        .sends(&room, "org.example.thing", &nearly)
        .await
        .refused(413, "M_TOO_LARGE");
    alice
        .sends(
            &room,
            "org.example.thing",
            &json!({"body": "x".repeat(60_000)}),
        )
        .await
        .ok();
    let names = json!({"body": "ü".repeat(33_000)});
    alice
        .sends(&room, "org.example.thing", &names)
        .await
        .refused(413, "M_TOO_LARGE");
    let long = "t".repeat(256);
    for answer in [
        alice.sends(&room, &long, &json!({})).await,
        alice
            .sets_state(&room, "org.example", &long, &json!({}))
            .await,
    ] {
        assert!(matches!(answer.status, 400 | 413), "{}", answer.summary());
    }
    assert_eq!(
        count(&alice, &room).await,
        before + 1,
        "something else was written"
    );
}

#[tokio::test]
async fn a_huge_body_is_refused_before_it_is_read() {
    // Synapse fails at some of it.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let huge = format!("{{\"a\": \"{}\"}}", "x".repeat(60_000_000));
    let answer = send(&alice, &room, huge).leniently().await;
    assert_eq!(
        (answer.status, answer.errcode().as_deref()),
        (413, Some("M_TOO_LARGE")),
        "{}",
        answer.summary()
    );
    alice.says(&room, "still there").await;
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "image/png; a=b",
    ] {
        send(&alice, &room, r#"{"a": 1}"#)
            .content_type(content_type)
            .await
            .ok();
    }
}

#[tokio::test]
async fn unknown_keys_are_ignored() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let body =
        json!({"preset": "private_chat", "org.example.unknown": {"a": [1]}, "another": null});
    let room = Room::of(
        &alice
            .post("/_matrix/client/v3/createRoom", &body)
            .await
            .ok(),
    );
    alice.syncs().query("org.example.unknown", "1").await;
    alice.types(&room, true).query("unknown", "x").await.ok();
}

#[tokio::test]
async fn identifiers_that_are_none_are_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let long = format!("!{}", "r".repeat(400));
    for id in [
        "",
        "no-room",
        "@alice:localhost",
        "!",
        &long,
        "!ro om\u{0}:localhost",
        "!☕:localhost",
    ] {
        for part in ["messages", "state", "members", "joined_members"] {
            let answer = alice
                .get(v3(&["rooms", id, part]))
                .query("dir", "b")
                .leniently()
                .await;
            assert!(
                (400..500).contains(&answer.status) || !server.is_own(),
                "{id:?} {part}: {}",
                answer.summary()
            );
        }
        for verb in ["join", "leave", "forget"] {
            let answer = alice
                .post(v3(&["rooms", id, verb]), &json!({}))
                .leniently()
                .await;
            assert!(
                (400..500).contains(&answer.status) || !server.is_own(),
                "{id:?} {verb}: {}",
                answer.summary()
            );
        }
    }
    for id in ["no-event", "$", "$\u{0}", &"$".repeat(600)] {
        let answer = alice.event(&room, id).leniently().await;
        assert!(
            (400..500).contains(&answer.status),
            "{id:?}: {}",
            answer.summary()
        );
    }
    for user in [
        "bob",
        "@bob",
        "@:",
        "@b o b:localhost:port",
        "@bob:local host",
    ] {
        let answer = alice
            .in_room(&room, "invite", &json!({"user_id": user}))
            .leniently()
            .await;
        assert!(
            (400..500).contains(&answer.status) || !server.is_own(),
            "{user:?}: {}",
            answer.summary()
        );
    }
}

#[tokio::test]
async fn numbers_in_queries_are_numbers() {
    // Synapse fails at some of it.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let message = alice.says(&room, "here").await;
    for value in ["many", "-1", "1.5", "99999999999999999999999", ""] {
        for call in [
            alice.messages(&room, "b").query("limit", value),
            alice
                .get(v3(&["rooms", &room.id, "context", &message]))
                .query("limit", value),
            alice.get("/_matrix/client/v3/sync").query("timeout", value),
        ] {
            let answer = call.leniently().await;
            // An empty one may count as missing, and a huge one as very large.
            let strict = server.is_own() && value.len() > 1 && value.len() < 20;
            assert!(
                answer.status == 400 || !strict,
                "{value:?}: {}",
                answer.summary()
            );
        }
    }
    alice
        .get(v3(&["rooms", &room.id, "messages"]))
        .await
        .refused_by_us(400, "M_MISSING_PARAM");
    let answer = alice.messages(&room, "sideways").await;
    assert_eq!(answer.status, 400, "{}", answer.summary());
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let sentence = |body: Value| body["error"].as_str().expect("a sentence").to_owned();
    let field = sentence(
        alice
            .post("/_matrix/client/v3/createRoom", &json!({"invite": "bob"}))
            .await
            .refused(400, "M_BAD_JSON"),
    );
    assert!(
        field.contains("invite"),
        "it does not name the field: {field}"
    );
    for refusal in [
        eve.joins(&room).await.refused(403, "M_FORBIDDEN"),
        eve.messages(&room, "b").await.refused(403, "M_FORBIDDEN"),
        eve.invites(&room, &alice).await.refused(403, "M_FORBIDDEN"),
    ] {
        let sentence = sentence(refusal);
        assert!(
            sentence.len() > 15 && sentence.contains(' '),
            "{sentence:?} helps nobody"
        );
    }
}
