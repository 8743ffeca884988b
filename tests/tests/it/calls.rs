//! What calls need of the server, and other networks.

use serde_json::json;
use tests::{TestServer, server::Settings};

#[tokio::test]
async fn turn_servers_are_told_with_passwords_that_run_out() {
    let name = format!("rookery-it-{:016x}.toml", rand::random::<u64>());
    let file = std::env::temp_dir().join(name);
    let text = r#"
        [voip]
        turn_uris = ["turn:turn.example.org?transport=udp"]
        turn_shared_secret = "north pole secret"
        turn_lifetime = "1 h"
    "#;
    std::fs::write(&file, text).expect("a file");
    let mut settings = Settings::open().await;
    let path = file.display().to_string();
    settings.flags.extend(["--config".to_owned(), path]);
    let Some(server) = TestServer::start_with(settings).await else {
        return;
    };
    let alice = server.user("alice").await;
    let turn = alice.get("/_matrix/client/v3/voip/turnServer").await.ok();
    assert_eq!(turn["uris"], json!(["turn:turn.example.org?transport=udp"]));
    assert_eq!(turn["ttl"], 3600);
    let username = turn["username"].as_str().expect("a name");
    assert!(username.ends_with(&format!(":{}", alice.id)), "{turn}");
    assert_eq!(turn["password"].as_str().map(str::len), Some(28), "{turn}");
    // Nobody misses it if it stays.
    let _ = std::fs::remove_file(&file);
}

#[tokio::test]
async fn without_turn_servers_and_bridges_there_is_nothing() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let turn = alice.get("/_matrix/client/v3/voip/turnServer").await.ok();
    assert_eq!(turn, json!({}));
    for (path, expected) in [
        ("protocols", json!({})),
        ("location/irc", json!([])),
        ("user/irc", json!([])),
    ] {
        let path = format!("/_matrix/client/v3/thirdparty/{path}");
        assert_eq!(alice.get(path).await.ok(), expected);
    }
}
