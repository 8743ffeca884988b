//! Who asks: signatures of requests, and the keys that they are checked with. FKEY-02 to FKEY-04.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use spec::sign::ServerKey;
use tests::{
    Peer,
    eventually::PATIENCE,
    path::join,
    peer::{Reply, now_ms, object, value},
};

use super::Scene;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// Where a request of the peer is refused with 401, and the honest one beside it is not.
#[tokio::test]
async fn a_request_that_is_not_signed_as_it_should_be_is_refused() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene { server, peer, .. } = &scene;
    let uri = join("/_matrix/federation/v1", &["send", "1"]);
    let body = peer.transaction(&json!([]), &json!([]));
    let other = peer.transaction(&json!([{}]), &json!([]));
    let honest = peer.header(server.name(), "PUT", &uri, Some(&body));
    let signature = |header: &str| {
        let start = header.find("sig=\"").expect("a signature") + 5;
        header[start..header.len() - 1].to_owned()
    };
    let elsewhere = peer.header("elsewhere.example", "PUT", &uri, Some(&body));
    for (lie, header) in [
        ("no signature", String::new()),
        ("not this scheme", honest.replace("X-Matrix", "Bearer")),
        ("garbage", "X-Matrix origin=\"".to_owned()),
        ("for another server", elsewhere.clone()),
        (
            "for another server, and renamed",
            honest.replace(&signature(&honest), &signature(&elsewhere)),
        ),
        (
            "another method",
            peer.header(server.name(), "GET", &uri, Some(&body)),
        ),
        (
            "another path",
            peer.header(server.name(), "PUT", &(uri.clone() + "1"), Some(&body)),
        ),
        (
            "another body",
            peer.header(server.name(), "PUT", &uri, Some(&other)),
        ),
        ("no body", peer.header(server.name(), "PUT", &uri, None)),
        ("no base64", honest.replace(&signature(&honest), "%%%")),
        ("short", honest.replace(&signature(&honest), "AAAA")),
        (
            "another key",
            honest.replace("ed25519:peer", "ed25519:none"),
        ),
        (
            "another algorithm",
            honest.replace("ed25519:peer", "rsa:peer"),
        ),
        (
            "another origin",
            honest.replace(
                &format!("origin=\"{}\"", peer.name()),
                &format!("origin=\"{}\"", server.name()),
            ),
        ),
        (
            "an origin that is not there",
            honest.replace(
                &format!("origin=\"{}\"", peer.name()),
                "origin=\"127.0.0.1:9\"",
            ),
        ),
        (
            "an origin that is no name",
            honest.replace(&format!("origin=\"{}\"", peer.name()), "origin=\"a b\""),
        ),
    ] {
        let call = server
            .call(Method::PUT, uri.as_str())
            .json(&body)
            .authorization(header);
        let answer = call.await;
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (401, Some("M_UNAUTHORIZED")),
            "{lie}"
        );
    }
    let call = server
        .call(Method::PUT, uri.as_str())
        .json(&body)
        .authorization(honest);
    call.await.ok();
    scene.goes_on().await;
}

/// A peer with such a document is refused.
async fn is_refused(
    scene: &Scene,
    lie: &str,
    document: impl Fn(&Peer) -> Reply + Send + Sync + 'static,
) {
    let liar = scene.machine.peer().await;
    let teller = liar.clone();
    liar.answers("key", move |_| document(&teller));
    let since = Instant::now();
    let answer = liar.gets(&scene.server, &["event", "$none"], "").await;
    assert_eq!(
        (answer.status, answer.errcode().as_deref()),
        (401, Some("M_UNAUTHORIZED")),
        "{lie}"
    );
    assert!(since.elapsed() < PATIENCE, "{lie}");
    assert!(!liar.asked("key").is_empty(), "{lie}");
}

fn resigned(peer: &Peer, mut document: Value, change: impl Fn(&mut Value)) -> Reply {
    change(&mut document);
    document
        .as_object_mut()
        .expect("an object")
        .remove("signatures");
    let mut document = object(&document);
    peer.key().sign_object(&mut document);
    Reply::ok(value(&document))
}

#[tokio::test]
async fn keys_that_a_server_did_not_publish_itself_are_not_believed() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let honest = |peer: &Peer| peer.key_document(now_ms() + HOUR_MS);
    let other = scene.peer.clone();
    is_refused(&scene, "somebody else's", move |_| {
        Reply::ok(honest(&other))
    })
    .await;
    let other = scene.peer.clone();
    is_refused(&scene, "somebody else's, renamed", move |peer| {
        let mut document = honest(&other);
        document["server_name"] = json!(peer.name());
        Reply::ok(document)
    })
    .await;
    is_refused(&scene, "unsigned", move |peer| {
        let mut document = honest(peer);
        document["signatures"] = json!({});
        Reply::ok(document)
    })
    .await;
    is_refused(&scene, "changed", move |peer| {
        let mut document = honest(peer);
        document["valid_until_ts"] = json!(now_ms() + 2 * HOUR_MS);
        Reply::ok(document)
    })
    .await;
    is_refused(&scene, "signed by a key that is not in it", move |peer| {
        let mut document = object(&honest(peer));
        document.remove("signatures");
        let stranger = ServerKey::from_seed(peer.key().server().to_owned(), "x", &[1; 32]);
        stranger.sign_object(&mut document);
        Reply::ok(value(&document))
    })
    .await;
    is_refused(&scene, "another key under this ID", move |peer| {
        let stranger = ServerKey::from_seed(peer.key().server().to_owned(), "peer", &[1; 32]);
        let mut document = object(&json!({
            "server_name": peer.name(), "valid_until_ts": now_ms() + HOUR_MS, "old_verify_keys": {},
            "verify_keys": {"ed25519:peer": {"key": stranger.public_key().to_base64()}},
        }));
        stranger.sign_object(&mut document);
        Reply::ok(value(&document))
    })
    .await;
    is_refused(&scene, "old", move |peer| {
        resigned(peer, honest(peer), |document| {
            let mut key = document["verify_keys"]["ed25519:peer"].take();
            key["expired_ts"] = json!(now_ms() - HOUR_MS);
            document["verify_keys"] = json!({});
            document["old_verify_keys"] = json!({"ed25519:peer": key});
        })
    })
    .await;
    is_refused(&scene, "its clock is a year behind", move |peer| {
        Reply::ok(peer.key_document(now_ms() - 365 * 24 * HOUR_MS))
    })
    .await;
    is_refused(&scene, "no object", |_| Reply::Bytes(200, b"[]".to_vec())).await;
    is_refused(&scene, "no JSON", |_| {
        Reply::Bytes(200, b"\xff\xfe".to_vec())
    })
    .await;
    is_refused(&scene, "empty", |_| Reply::Bytes(200, Vec::new())).await;
    is_refused(&scene, "deeply nested", |_| {
        Reply::Bytes(200, vec![b'['; 100_000])
    })
    .await;
    is_refused(&scene, "endless", |_| {
        Reply::Endless(b"{\"a\":\"".to_vec(), vec![b'a'; 4096])
    })
    .await;
    is_refused(&scene, "a refusal", |_| Reply::refused(404, "M_NOT_FOUND")).await;
    is_refused(&scene, "no answer", |_| Reply::HangUp).await;
    scene.goes_on().await;
}

/// Others are served while the server waits for a key.
#[tokio::test]
async fn a_server_that_is_slow_to_tell_its_keys_holds_up_nobody_else() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    tokio::join!(
        is_refused(&scene, "silent", |_| Reply::Silence),
        is_refused(&scene, "a trickle", |_| Reply::Trickle),
        scene.goes_on(),
    );
}

/// A year ahead is believed for a week, as all are.
#[tokio::test]
async fn a_server_whose_clock_is_ahead_is_heard() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let ahead = scene.machine.peer().await;
    let teller = ahead.clone();
    ahead.answers("key", move |_| {
        Reply::ok(teller.key_document(now_ms() + 365 * 24 * HOUR_MS))
    });
    ahead
        .gets(&scene.server, &["event", "$none"], "")
        .await
        .refused(404, "M_NOT_FOUND");
}
