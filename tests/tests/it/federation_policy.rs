//! Rooms with a policy server, which is a server on a script.

use reqwest::Method;
use serde_json::{Value, json};
use spec::sign::ServerKey;
use tests::{
    Peer, Room, TestServer, User,
    eventually::eventually,
    federation::Neighbourhood,
    peer::{Reply, object, value},
};

/// The key that the room names.
fn policy_key(peer: &Peer, seed: u8) -> ServerKey {
    let name = peer.key().server().to_owned();
    ServerKey::from_seed(name, "policy_server", &[seed; 32])
}

/// The signature of the policy server on an event of a room of version 11.
fn signature(key: &ServerKey, event: &Value) -> Value {
    let version = spec::room_version::RoomVersion::get("11").expect("a version");
    let mut bare = event.clone();
    bare["signatures"] = json!({});
    let mut signed = object(&bare);
    key.sign_event(version, &mut signed);
    value(&signed)["signatures"].clone()
}

async fn room_with_policy() -> Option<(Neighbourhood, TestServer, Peer, User, Room)> {
    let machine = Neighbourhood::new();
    let server = machine.server().await?;
    let peer = machine.peer().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().public().version("11").await;
    peer.joins(&server, &room, &peer.user("carol")).await;
    let key = policy_key(&peer, 5).public_key().to_base64();
    let policy = json!({"via": peer.name(), "public_keys": {"ed25519": key}});
    alice
        .sets_state(&room, "m.room.policy", "", &policy)
        .await
        .ok();
    Some((machine, server, peer, alice, room))
}

fn message(body: &str) -> Value {
    json!({"msgtype": "m.text", "body": body})
}

#[tokio::test]
async fn events_go_out_with_the_signature_of_the_policy_server() {
    let Some((_machine, _server, peer, alice, room)) = room_with_policy().await else {
        return;
    };
    let key = policy_key(&peer, 5);
    peer.answers("sign", move |ask| Reply::ok(signature(&key, &ask.body)));
    let said = alice.says(&room, "hello").await;
    let seen = peer
        .receives("the message", |event| {
            (peer.room(&room).id_of(event) == said).then(|| event.clone())
        })
        .await;
    assert_eq!(
        seen["signatures"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    let expected = signature(&policy_key(&peer, 5), &seen);
    assert_eq!(seen["signatures"][peer.name()], expected[peer.name()]);
    let asked = peer.asked("sign");
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&*asked[0].method, &*asked[0].path),
        ("POST", "/_matrix/policy/v1/sign")
    );
    assert!(asked[0].authorization.starts_with("X-Matrix "));
}

#[tokio::test]
async fn a_refusal_is_the_answer_and_silence_fails_closed() {
    let Some((_machine, server, peer, alice, room)) = room_with_policy().await else {
        return;
    };
    let send = |txn: &'static str| {
        let uri = tests::path::v3(&["rooms", &room.id, "send", "m.room.message", txn]);
        alice.put(uri, &message("hello"))
    };
    peer.answers("sign", |_| Reply::refused(400, "M_FORBIDDEN"));
    let refused = send("1").await;
    assert_eq!(refused.json()["error"], "The peer refuses");
    refused.refused(400, "M_FORBIDDEN");
    peer.answers("sign", |_| {
        let busy =
            json!({"errcode": "M_LIMIT_EXCEEDED", "error": "Later", "retry_after_ms": 2_500});
        Reply::Json(429, busy)
    });
    let busy = send("busy").await;
    let header = busy.headers.get("retry-after").cloned();
    assert_eq!(
        busy.refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"],
        2_500
    );
    assert_eq!(header.expect("a header"), "3");
    // The tombstone of an upgrade has to be signed, too.
    alice
        .post(
            tests::path::v3(&["rooms", &room.id, "upgrade"]),
            &json!({"new_version": "12"}),
        )
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    peer.answers("sign", |_| Reply::HangUp);
    send("2").await.refused(502, "M_UNKNOWN");
    let wrong = policy_key(&peer, 6);
    peer.answers("sign", move |ask| Reply::ok(signature(&wrong, &ask.body)));
    send("3").await.refused(502, "M_UNKNOWN");
    // Another room goes on meanwhile, and the policy can be taken away without its server.
    let other = alice.creates_room().await;
    alice.says(&other, "undisturbed").await;
    peer.answers("sign", |_| Reply::HangUp);
    alice
        .sets_state(&room, "m.room.policy", "", &json!({}))
        .await
        .ok();
    send("4").await.ok();
    drop(server);
}

#[tokio::test]
async fn what_comes_in_unsigned_is_asked_about() {
    let Some((_machine, server, peer, alice, room)) = room_with_policy().await else {
        return;
    };
    let carol = peer.user("carol");
    let key = policy_key(&peer, 5);
    peer.answers("sign", move |ask| {
        if ask.body["content"]["body"] == "spam" {
            Reply::refused(400, "M_FORBIDDEN")
        } else {
            Reply::ok(signature(&key, &ask.body))
        }
    });
    let spam = peer.says(&room, &carol, "spam");
    let ham = peer.says(&room, &carol, "ham");
    for pdu in [&spam, &ham] {
        let answer = peer.sends(&server, std::slice::from_ref(pdu)).await;
        assert_eq!(answer.of_pdu(pdu), Some(None));
    }
    let seen = alice.syncs_until(&room, &ham.id).await;
    assert!(!seen.ids().contains(&spam.id.as_str()));
    assert_eq!(peer.asked("sign").len(), 2, "once for each");
}

#[tokio::test]
async fn a_silent_policy_server_holds_up_no_delayed_event_of_another_room() {
    let Some((_machine, _server, peer, alice, room)) = room_with_policy().await else {
        return;
    };
    let other = alice.creates_room().await;
    let since = alice.syncs().await.next_batch();
    peer.answers("sign", |_| Reply::Silence);
    let delays = async |room: &Room, txn: &str| {
        let uri = tests::path::v3(&["rooms", &room.id, "send", "m.room.message", txn]);
        let delayed = alice.put(uri, &message(txn));
        delayed.query("org.matrix.msc4140.delay", 1).await.ok()
    };
    delays(&room, "held up").await;
    eventually("the policy server is asked", async || {
        (!peer.asked("sign").is_empty()).then_some(())
    })
    .await;
    let first = delays(&other, "on its way").await;
    let came = |sync: &tests::sync::Sync| {
        let events = &sync.0["rooms"]["join"][&other.id]["timeline"]["events"];
        let mut events = events.as_array()?.iter();
        events
            .find(|event| event["content"]["body"] == "on its way")
            .cloned()
    };
    alice.syncs_when(&since, came).await;
    // Nor does it hold up those who look after theirs.
    let path = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
    eventually("only the other waits", async || {
        let list = alice.get(path).await.ok();
        (list["scheduled"].as_array()?.len() == 1).then_some(())
    })
    .await;
    // The same request once more, which needs no content.
    let uri = tests::path::v3(&["rooms", &other.id, "send", "m.room.message", "on its way"]);
    let again = alice
        .call(Method::PUT, uri)
        .query("org.matrix.msc4140.delay", 1);
    assert_eq!(again.await.ok(), first);
}
