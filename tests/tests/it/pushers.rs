//! Gateways that push to phones.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Peer, TestServer, User, eventually::eventually, federation::Neighbourhood, peer::Reply,
};

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
