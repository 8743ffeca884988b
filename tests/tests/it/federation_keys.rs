//! A server gets a new signing key, and what it said before stays believed.

use std::process::Command;

use serde_json::{Value, json};
use tests::{
    TestServer,
    federation::Neighbourhood,
    peer::{Reply, now_ms},
    server::binary,
};

/// Retires the signing key of a server that is stopped; returns what the command says.
fn rotate(server: &TestServer, name: &str) -> String {
    let (database, data) = server.data();
    let mut command = Command::new(binary());
    command.args(["federation", "rotate-key", "--server-name", name]);
    command.arg("--data-dir").arg(data);
    if let Some(url) = database.url() {
        command.args(["--database", &url]);
    }
    let done = command.output().expect("the command runs");
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{text}");
    text
}

async fn keys(server: &TestServer) -> Value {
    server.get("/_matrix/key/v2/server").await.ok()
}

/// The rooms of versions 4 and 5 differ in whether the age of a key counts.
#[tokio::test]
async fn what_was_signed_with_a_former_key_stays_believed() {
    let machine = Neighbourhood::new();
    let Some(mut here) = machine.server().await else {
        return;
    };
    let there = machine.server().await.expect("a second server");
    let third = machine.server().await.expect("a third server");
    let alice = here.user("alice").await;
    let bob = there.user("bob").await;
    let carol = third.user("carol").await;
    let mut rooms = Vec::new();
    for version in ["4", "5", "12"] {
        let room = alice.creates_room().public().version(version).await;
        bob.joins_via(&room, alice.server_name()).await.ok();
        rooms.push(room);
    }
    let before = keys(&here).await;

    here.stop().await;
    let told = rotate(&here, alice.server_name());
    here.restart().await;
    let after = keys(&here).await;
    let names = |keys: &Value, which: &str| -> Vec<String> {
        let keys = keys[which].as_object().expect("an object");
        keys.keys().cloned().collect()
    };
    let retired = &names(&before, "verify_keys")[0];
    assert!(told.contains(retired), "{told}");
    assert_eq!(
        names(&after, "old_verify_keys"),
        names(&before, "verify_keys")
    );
    assert_ne!(names(&after, "verify_keys"), names(&before, "verify_keys"));

    for room in &rooms {
        let said = alice.says(room, "with the new key").await;
        bob.syncs_until(room, &said).await;
        // Who never met the old key believes it, since it is published; so does its own server.
        carol.joins_via(room, bob.server_name()).await.ok();
        let create = carol.state(room, "m.room.create", "").await;
        create.ok();
        alice.leaves(room).await.ok();
        alice.joins_via(room, bob.server_name()).await.ok();
        let own = alice.state(room, "m.room.member", &alice.id).await.ok();
        assert_eq!(own["membership"], json!("join"));
    }
}

/// FKEY-05.
#[tokio::test]
async fn the_keys_of_a_server_that_is_gone_are_told_though_they_are_no_longer_valid() {
    let machine = Neighbourhood::new();
    let Some(server) = machine.server().await else {
        return;
    };
    let peer = machine.peer().await;
    let past = peer.key_document(now_ms() - 1_000);
    peer.answers("key", move |_| Reply::ok(past.clone()));
    for is_gone in [false, true] {
        if is_gone {
            peer.answers("key", |_| Reply::HangUp);
        }
        let path = format!("/_matrix/key/v2/query/{}", peer.name());
        let told = server.get(path).await.ok();
        let document = &told["server_keys"][0];
        assert_eq!(document["server_name"], json!(peer.name()), "{told}");
        let key = &document["verify_keys"][peer.key().key_id()]["key"];
        assert_eq!(*key, json!(peer.key().public_key().to_base64()), "{told}");
    }
}

/// Whoever stands behind the operator's proxy is counted by the address that the proxy saw, other servers too.
#[tokio::test]
async fn behind_a_proxy_each_address_asks_for_itself() {
    let federation = Neighbourhood::free_name();
    let text = format!(
        "[listeners.client]\nbehind_proxy = true\n\
         [listeners.federation]\naddresses = [\"{federation}\"]\nbehind_proxy = true\n"
    );
    let Some(server) = TestServer::start_configured(&text).await else {
        return;
    };
    let connection = server.connection();
    for (base, address) in [
        (connection.base().to_owned(), "192.0.2.1"),
        (format!("http://{federation}"), "192.0.2.2"),
    ] {
        let url = format!("{base}/_matrix/key/v2/query/{}", server.name());
        let asks = async |from: &str| {
            let asking = connection.http().get(&url).header("X-Forwarded-For", from);
            asking.send().await.expect("an answer").status().as_u16()
        };
        // What stands in front is anybody's word: both are the same address, which may ask 50 times, and once a second.
        let forged = format!("198.51.100.9, {address}");
        let mut asked = 0;
        while asks([address, &forged][asked % 2]).await == 200 {
            asked += 1;
            assert!(asked < 90, "counted apart, or never too often");
        }
        assert_eq!(asks(&format!("{address}, 198.51.100.9")).await, 200);
    }
}
