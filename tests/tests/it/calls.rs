//! What calls need of the server, and other networks.

use serde_json::json;
use tests::{TestServer, User};

#[tokio::test]
async fn turn_servers_are_told_with_passwords_that_run_out() {
    let text = r#"
        [voip]
        turn_uris = ["turn:turn.example.org?transport=udp"]
        turn_shared_secret = "north pole secret"
        turn_lifetime = "1 h"
    "#;
    let Some(server) = TestServer::start_configured(text).await else {
        return;
    };
    let alice = server.user("alice").await;
    let turn = alice.get("/_matrix/client/v3/voip/turnServer").await.ok();
    assert_eq!(turn["uris"], json!(["turn:turn.example.org?transport=udp"]));
    assert_eq!(turn["ttl"], 3600);
    let username = turn["username"].as_str().expect("a name");
    assert!(username.ends_with(&format!(":{}", alice.id)), "{turn}");
    assert_eq!(turn["password"].as_str().map(str::len), Some(28), "{turn}");
}

#[tokio::test]
async fn guests_get_turn_servers_if_the_operator_wants_it() {
    for (wanted, line) in [(true, "turn_for_guests = true"), (false, "")] {
        let text = format!(
            "[registration]\nguests = true\n[voip]\nturn_uris = [\"turn:turn.example.org\"]\n\
             turn_shared_secret = \"north pole secret\"\n{line}\n"
        );
        let Some(server) = TestServer::start_configured(&text).await else {
            return;
        };
        let session = server.post("/_matrix/client/v3/register", &json!({}));
        let session = session.query("kind", "guest").await.ok();
        let guest = User::new(server.connection(), &session, String::new());
        let asked = guest.get("/_matrix/client/v3/voip/turnServer").await;
        if wanted {
            assert_eq!(asked.ok()["uris"], json!(["turn:turn.example.org"]));
        } else {
            asked.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        }
    }
}

/// UNST-03.
#[tokio::test]
async fn calls_of_many_people_go_through_what_the_operator_names() {
    let text = "[voip]\nlivekit_urls = [\"https://livekit.example.org/jwt\"]\n";
    let Some(server) = TestServer::start_configured(text).await else {
        return;
    };
    let alice = server.user("alice").await;
    let service = "https://livekit.example.org/jwt";
    let expected = json!([{"type": "livekit", "livekit_service_url": service}]);
    let path = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    let transports = alice.get(path).await.ok();
    assert_eq!(transports["rtc_transports"], expected);
    server.get(path).await.refused(401, "M_MISSING_TOKEN");
    let known = server.get("/.well-known/matrix/client").await.ok();
    assert_eq!(known["org.matrix.msc4143.rtc_foci"], expected);
}

#[tokio::test]
async fn without_turn_servers_and_bridges_there_is_nothing() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let turn = alice.get("/_matrix/client/v3/voip/turnServer").await.ok();
    assert_eq!(turn, json!({}));
    let path = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    let transports = alice.get(path).await.ok();
    assert_eq!(transports, json!({"rtc_transports": []}));
    for (path, expected) in [
        ("protocols", json!({})),
        ("location/irc", json!([])),
        ("user/irc", json!([])),
    ] {
        let path = format!("/_matrix/client/v3/thirdparty/{path}");
        assert_eq!(alice.get(path).await.ok(), expected);
    }
    let irc = alice
        .get("/_matrix/client/v3/thirdparty/protocol/irc")
        .await;
    irc.refused(404, "M_NOT_FOUND");
}
