//! Gateways that push to phones.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Peer, TestServer, User, eventually::eventually, federation::Neighbourhood, peer::Reply,
};
use tokio::{io::AsyncReadExt, net::TcpListener};

const SET: &str = "/_matrix/client/v3/pushers/set";
const LIST: &str = "/_matrix/client/v3/pushers";

fn pusher(gateway: &str) -> Value {
    json!({
        "app_id": "org.example.app", "pushkey": "a key", "kind": "http", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en",
        "data": {"url": format!("https://{gateway}/_matrix/push/v1/notify"), "brand": "x"},
    })
}

/// The notification of an event that the gateway has got.
async fn gets(gateway: &Peer, event: &str) -> Value {
    eventually("a notification", async || {
        let asked = gateway.asked("notify");
        let mut notifications = asked.iter().map(|ask| &ask.body["notification"]);
        notifications
            .find(|heard| heard["event_id"] == event)
            .cloned()
    })
    .await
}

async fn pushers(user: &User) -> Vec<Value> {
    let listed = user.get(LIST).await.ok();
    listed["pushers"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_gateway_hears_what_it_missed_also_after_a_restart() {
    let machine = Neighbourhood::new();
    let Some(mut server) = machine.server().await else {
        return;
    };
    let gateway = machine.peer().await;
    gateway.answers("notify", |_| Reply::Json(500, json!({})));
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    bob.post(SET, &pusher(gateway.name())).await.ok();
    let event = alice.says(&room, "hello").await;
    gets(&gateway, &event).await;
    server.kill();
    server.restart().await;
    let before = gateway.asked("notify").len();
    gateway.answers("notify", |_| Reply::ok(json!({"rejected": []})));
    eventually("another try", async || {
        (gateway.asked("notify").len() > before).then_some(())
    })
    .await;
    let heard = gets(&gateway, &event).await;
    assert_eq!(heard["content"]["body"], "hello", "{heard}");
    assert_eq!(heard["sender"], alice.id.as_str());
    assert_eq!(heard["devices"][0]["data"], json!({"brand": "x"}));
}

/// PUSH-13: who answers with another address has not answered, and that is not asked.
#[tokio::test]
async fn a_gateway_that_sends_elsewhere_is_asked_again() {
    let machine = Neighbourhood::new();
    let Some(server) = machine.server().await else {
        return;
    };
    let gateway = machine.peer().await;
    let other = machine.peer().await;
    let there = format!("https://{}/_matrix/push/v1/notify", other.name());
    gateway.answers("notify", move |_| Reply::Elsewhere(307, there.clone()));
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    bob.post(SET, &pusher(gateway.name())).await.ok();
    let event = alice.says(&room, "hello").await;
    gets(&gateway, &event).await;
    let before = gateway.asked("notify").len();
    gateway.answers("notify", |_| Reply::ok(json!({"rejected": []})));
    eventually("another try", async || {
        (gateway.asked("notify").len() > before).then_some(())
    })
    .await;
    gets(&gateway, &event).await;
    assert!(other.asked("notify").is_empty());
}

#[tokio::test]
async fn pushers_are_listed_and_deleted_and_end_with_their_session() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    let tablet = alice.logs_in_again().await;
    alice.post(SET, &pusher("push.example")).await.ok();
    let listed = pushers(&tablet).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    for key in ["app_id", "pushkey", "kind", "lang", "data"] {
        assert_eq!(listed[0][key], pusher("push.example")[key], "{key}");
    }
    alice
        .call(Method::POST, "/_matrix/client/v3/logout")
        .json(&json!({}))
        .await
        .ok();
    assert!(pushers(&tablet).await.is_empty(), "after the session");
    tablet.post(SET, &pusher("push.example")).await.ok();
    let none = json!({"app_id": "org.example.app", "pushkey": "a key", "kind": null});
    tablet.post(SET, &none).await.ok();
    assert!(pushers(&tablet).await.is_empty(), "after it was deleted");
    let mut wrong = pusher("push.example");
    wrong["data"]["url"] = "http://push.example/_matrix/push/v1/notify".into();
    let answer = tablet.post(SET, &wrong).await;
    assert!(
        answer.status == 400 || !server.is_own(),
        "{}",
        answer.summary()
    );
    wrong["kind"] = "pigeon".into();
    let answer = tablet.post(SET, &wrong).await;
    assert_eq!(answer.status, 400, "{}", answer.summary());
}

/// PUSH-10: where the operator allows it, also a gateway that speaks plain HTTP.
#[tokio::test]
async fn a_plain_gateway_is_told_where_that_is_allowed() {
    let machine = Neighbourhood::new();
    let file = machine.file("plain.toml");
    let text = "[federation]\nplain_push_gateways = true\n";
    std::fs::write(&file, text).expect("a file");
    let Some(server) = machine.server_with(&["--config", &file]).await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut plain = pusher("");
    plain["data"]["url"] = format!("http://{address}/_matrix/push/v1/notify").into();
    // A count that comes first would wait for its answer.
    plain["data"]["events_only"] = true.into();
    bob.post(SET, &plain).await.ok();
    let event = alice.says(&room, "hello").await;
    let heard = async {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut heard = String::new();
        while !heard.contains(&event) {
            let mut part = [0; 4_096];
            let read = connection.read(&mut part).await.expect("more");
            assert_ne!(read, 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        heard
    };
    let heard = tokio::time::timeout(Duration::from_secs(20), heard).await;
    let heard = heard.expect("a notification");
    assert!(
        heard.starts_with("POST /_matrix/push/v1/notify HTTP/1.1"),
        "{heard}"
    );
}
