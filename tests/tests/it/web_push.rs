//! Pushes to browsers, by a push service on a script.

use aes_gcm::{Aes128Gcm, KeyInit as _, Nonce, aead::Aead as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use p256::{
    PublicKey, SecretKey,
    ecdsa::{Signature, VerifyingKey, signature::Verifier as _},
};
use serde_json::{Value, json};
use tests::{
    Peer, TestServer,
    eventually::eventually,
    federation::Neighbourhood,
    peer::{Ask, Reply},
};

const SET: &str = "/_matrix/client/v3/pushers/set";
const KEY: &str = "/_matrix/client/unstable/org.rookery.webpush/key";

/// A browser that has subscribed at a push service.
struct Browser {
    key: SecretKey,
    auth: [u8; 16],
}

impl Browser {
    fn new() -> Self {
        let key = std::iter::repeat_with(rand::random::<[u8; 32]>);
        let mut keys = key.filter_map(|bytes| SecretKey::from_slice(&bytes).ok());
        Self {
            key: keys.next().expect("a key"),
            auth: rand::random(),
        }
    }

    fn pusher(&self, service: &Peer) -> Value {
        json!({
            "app_id": "org.example.web", "kind": "org.rookery.webpush", "app_display_name": "Web",
            "pushkey": URL_SAFE_NO_PAD.encode(self.key.public_key().to_sec1_bytes()),
            "device_display_name": "Browser", "lang": "en",
            "data": {
                "url": format!("https://{}/push/v1/of/deliver/me?a=b", service.name()),
                "auth": URL_SAFE_NO_PAD.encode(self.auth),
                "events_only": true,
                "default_payload": {"account": "bob's"},
            },
        })
    }

    /// RFC 8291 from the browser's side.
    fn reads(&self, body: &[u8]) -> Value {
        let (salt, rest) = body.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert_eq!(size, 4_096_u32.to_be_bytes());
        let (length, rest) = rest.split_at(1);
        let (theirs, sealed) = rest.split_at(usize::from(length[0]));
        let key = PublicKey::from_sec1_bytes(theirs).expect("a key");
        let ours = self.key.public_key().to_sec1_bytes();
        let shared = self.key.diffie_hellman(&key);
        let info = [b"WebPush: info\0", &*ours, theirs].concat();
        let derived = |salt: &[u8], input: &[u8], info: &[u8], length: usize| {
            let mut output = vec![0; length];
            let derivation = Hkdf::<sha2::Sha256>::new(Some(salt), input);
            derivation.expand(info, &mut output).expect("a length");
            output
        };
        let input = derived(&self.auth, shared.raw_secret_bytes(), &info, 32);
        let key = derived(salt, &input, b"Content-Encoding: aes128gcm\0", 16);
        let nonce = derived(salt, &input, b"Content-Encoding: nonce\0", 12);
        let cipher = Aes128Gcm::new_from_slice(&key).expect("16 bytes");
        let nonce: [u8; 12] = nonce.try_into().expect("12 bytes");
        let opened = cipher.decrypt(&Nonce::from(nonce), sealed);
        let opened = opened.expect("it was sealed for this browser");
        let (last, message) = opened.split_last().expect("a delimiter");
        assert_eq!(*last, 2);
        serde_json::from_slice(message).expect("JSON")
    }
}

/// RFC 8292: the proof is for this service, and made with this key.
fn proves(ask: &Ask, service: &Peer, public_key: &str) {
    let proof = ask.authorization.strip_prefix("vapid t=");
    let (proof, key) = proof
        .and_then(|proof| proof.split_once(", k="))
        .expect("a proof");
    assert_eq!(key, public_key);
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let (signed, signature) = proof.rsplit_once('.').expect("three parts");
    let signature = Signature::from_slice(&decoded(signature)).expect("a signature");
    let key = VerifyingKey::from_sec1_bytes(&decoded(key)).expect("a key");
    key.verify(signed.as_bytes(), &signature)
        .expect("it is signed");
    let (_, claims) = signed.split_once('.').expect("two parts");
    let claims: Value = serde_json::from_slice(&decoded(claims)).expect("JSON");
    assert_eq!(claims["aud"], format!("https://{}", service.name()));
}

#[tokio::test]
async fn a_browser_is_told_without_a_gateway_until_it_is_gone() {
    let machine = Neighbourhood::new();
    let Some(mut server) = machine.server().await else {
        return;
    };
    let service = machine.peer().await;
    service.answers("deliver", |_| Reply::Json(201, json!({})));
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let key = bob.get(KEY).await.ok();
    let public_key = key["public_key"].as_str().expect("a key").to_owned();
    let browser = Browser::new();
    bob.post(SET, &browser.pusher(&service)).await.ok();
    let event = alice.says(&room, "hello").await;
    let heard = |event: String| {
        let (browser, service) = (&browser, &service);
        async move {
            eventually("a push", async || {
                let asked = service.asked("deliver").into_iter();
                let mut read = asked.map(|ask| (browser.reads(&ask.raw), ask));
                read.find(|(message, _)| message["event_id"] == event)
            })
            .await
        }
    };
    let (message, ask) = heard(event).await;
    assert_eq!(
        (
            &message["content"]["body"],
            &message["sender"],
            &message["account"]
        ),
        (&json!("hello"), &json!(alice.id), &json!("bob's"))
    );
    assert_eq!(
        (&message["counts"]["unread"], message.get("devices")),
        (&json!(1), None)
    );
    proves(&ask, &service, &public_key);
    for (name, value) in [
        ("content-encoding", "aes128gcm"),
        ("urgency", "high"),
        ("ttl", "86400"),
    ] {
        assert_eq!(
            ask.headers.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }

    // The key stays; what does not fit is shortened.
    server.kill();
    server.restart().await;
    assert_eq!(bob.get(KEY).await.ok(), key);
    let event = alice.says(&room, &"long ".repeat(2_000)).await;
    let (message, ask) = heard(event).await;
    assert!(ask.raw.len() <= 4_096, "{}", ask.raw.len());
    assert_eq!(
        (message.get("content"), &message["room_id"]),
        (None, &json!(room.id))
    );

    service.answers("deliver", |_| Reply::Json(410, json!({})));
    alice.says(&room, "gone").await;
    eventually("no pusher", async || {
        let listed = bob.get("/_matrix/client/v3/pushers").await.ok();
        listed["pushers"].as_array()?.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_leads_to_no_browser_is_refused() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let service = Neighbourhood::new().peer().await;
    let bob = server.user("bob").await;
    let good = Browser::new().pusher(&service);
    for (path, value) in [
        ("/pushkey", "no key"),
        ("/data/auth", "AAAA"),
        ("/data/url", "http://push.example/"),
        ("/data/url", "push.example"),
    ] {
        let mut wrong = good.clone();
        *wrong.pointer_mut(path).expect("it is there") = value.into();
        let answer = bob.post(SET, &wrong).await;
        answer.refused(400, "M_INVALID_PARAM");
    }
}
