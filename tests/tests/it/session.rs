//! Registering, logging in and out, tokens, devices, passwords.

use serde_json::json;
use tests::{TestServer, User, path::v3};

const REGISTER: &str = "/_matrix/client/v3/register";
const LOGIN: &str = "/_matrix/client/v3/login";
const REFRESH: &str = "/_matrix/client/v3/refresh";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

#[tokio::test]
async fn a_registration_asks_for_a_stage_and_then_gives_a_session() {
    let server = TestServer::start().await;
    let name = server.fresh_name("alice");
    let body = json!({"username": name, "password": "pässwörd ✓", "device_id": "PHONE"});
    let challenge = server.post(REGISTER, &body).await;
    assert_eq!(challenge.status, 401);
    let challenge = challenge.json();
    let flows = challenge["flows"].as_array().expect("flows");
    assert!(
        flows
            .iter()
            .any(|flow| flow["stages"] == json!(["m.login.dummy"])),
        "{challenge}"
    );

    // The parameters of the first request are remembered: only the stage is answered.
    let answer = json!({"auth": {"type": "m.login.dummy", "session": challenge["session"]}, "username": name, "password": "pässwörd ✓", "device_id": "PHONE"});
    let session = server.post(REGISTER, &answer).await.ok();
    assert_eq!(session["device_id"], "PHONE");
    let alice = User::new(server.connection(), &session, "pässwörd ✓".to_owned());
    let me = alice.get(WHOAMI).await.ok();
    assert_eq!(
        (&me["user_id"], &me["device_id"]),
        (&json!(alice.id), &json!("PHONE"))
    );
    assert_eq!(
        alice.logs_in_again().await.id,
        alice.id,
        "with the password"
    );
}

#[tokio::test]
async fn a_name_is_checked_before_anything_else() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for (name, errcode) in [
        (alice.name(), "M_USER_IN_USE"),
        ("no spaces", "M_INVALID_USERNAME"),
        ("näme", "M_INVALID_USERNAME"),
        ("a:b", "M_INVALID_USERNAME"),
        ("a".repeat(300).as_str(), "M_INVALID_USERNAME"),
    ] {
        let body = json!({"username": name, "password": "some long password"});
        server.post(REGISTER, &body).await.refused(400, errcode);
        server
            .get("/_matrix/client/v3/register/available")
            .query("username", name)
            .await
            .refused_by_us(400, errcode);
    }
    let free = server.fresh_name("free");
    server
        .get("/_matrix/client/v3/register/available")
        .query("username", free)
        .await
        .ok();
}

#[tokio::test]
async fn a_name_in_capitals_is_lowered() {
    let server = TestServer::start().await;
    let name = server.fresh_name("Carol");
    let body = json!({"username": name, "password": "some long password", "auth": {"type": "m.login.dummy"}});
    let session = server.post(REGISTER, &body).await.ok();
    let carol = User::new(
        server.connection(),
        &session,
        "some long password".to_owned(),
    );
    assert_eq!(carol.name(), name.to_lowercase());
    // By local part, in capitals.
    let body = json!({
        "type": "m.login.password", "password": carol.password,
        "identifier": {"type": "m.id.user", "user": name.to_uppercase()},
    });
    assert_eq!(server.post(LOGIN, &body).await.ok()["user_id"], carol.id);
}

#[tokio::test]
async fn a_registration_without_a_session() {
    let server = TestServer::start().await;
    let name = server.fresh_name("bot");
    let body = json!({"username": name, "password": "some long password", "inhibit_login": true, "auth": {"type": "m.login.dummy"}});
    let made = server.post(REGISTER, &body).await.ok();
    assert!(
        made.get("access_token").is_none() && made.get("device_id").is_none(),
        "{made}"
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let flows = server.get(LOGIN).await.ok();
    let flows = flows["flows"].as_array().expect("flows");
    assert!(flows.iter().any(|flow| flow["type"] == "m.login.password"));
    let attempt = |user: &str, password: &str| {
        let body = json!({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password});
        server.post(LOGIN, &body)
    };
    attempt(&alice.id, "wrong")
        .await
        .refused(403, "M_FORBIDDEN");
    attempt("nobody-of-that-name", "wrong")
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post(LOGIN, &json!({"type": "m.login.magic"}))
        .await
        .refused_by_us(400, "M_UNKNOWN");
}

#[tokio::test]
async fn logging_in_on_a_known_device_ends_its_old_tokens() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let body = json!({
        "type": "m.login.password", "password": alice.password, "device_id": alice.device,
        "identifier": {"type": "m.id.user", "user": alice.name()}, "initial_device_display_name": "another name",
    });
    let session = server.post(LOGIN, &body).await.ok();
    assert_eq!(session["device_id"], alice.device);
    alice.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    let again = User::new(server.connection(), &session, String::new());
    let device = again.get(v3(&["devices", &alice.device])).await.ok();
    assert_ne!(
        device["display_name"], "another name",
        "only for new devices"
    );
}

#[tokio::test]
async fn a_token_is_required_and_must_be_known() {
    let server = TestServer::start().await;
    server.get(WHOAMI).await.refused(401, "M_MISSING_TOKEN");
    server
        .get(WHOAMI)
        .token("not_a_token")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn logging_out_ends_the_token_and_the_device() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let tablet = alice.logs_in_again().await;
    alice
        .post("/_matrix/client/v3/logout", &json!({}))
        .await
        .ok();
    alice.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    tablet
        .get(v3(&["devices", &alice.device]))
        .await
        .refused(404, "M_NOT_FOUND");
    tablet.get(v3(&["devices", &tablet.device])).await.ok();

    let phone = tablet.logs_in_again().await;
    phone
        .post("/_matrix/client/v3/logout/all", &json!({}))
        .await
        .ok();
    for device in [tablet, phone] {
        device.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn a_refresh_token_works_until_its_successor_is_used() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let body = json!({
        "type": "m.login.password", "password": alice.password, "refresh_token": true,
        "identifier": {"type": "m.id.user", "user": alice.id},
    });
    let session = server.post(LOGIN, &body).await.ok();
    let first = json!({"refresh_token": session["refresh_token"]});
    assert!(session["expires_in_ms"].is_i64(), "{session}");

    let lost = server.post(REFRESH, &first).await.ok();
    let second = server.post(REFRESH, &first).await.ok();
    assert_ne!(lost["access_token"], second["access_token"]);
    let token = second["access_token"].as_str().expect("a token");
    let me = server.get(WHOAMI).token(token).await.ok();
    assert_eq!(me["device_id"], session["device_id"], "the device stays");
    server
        .post(REFRESH, &first)
        .await
        .refused_by_us(401, "M_UNKNOWN_TOKEN");
    server
        .post(REFRESH, &json!({"refresh_token": "never given"}))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_user_sees_and_renames_only_own_devices() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let tablet = alice.logs_in_again().await;
    let devices = alice.get("/_matrix/client/v3/devices").await.ok();
    let mut ids: Vec<_> = devices["devices"]
        .as_array()
        .expect("devices")
        .iter()
        .map(|d| d["device_id"].clone())
        .collect();
    ids.sort_by_key(|id| id.to_string());
    let mut expected = [json!(alice.device), json!(tablet.device)];
    expected.sort_by_key(|id| id.to_string());
    assert_eq!(ids, expected);

    let path = v3(&["devices", &tablet.device]);
    alice
        .put(path.clone(), &json!({"display_name": "the tablet"}))
        .await
        .ok();
    assert_eq!(
        tablet.get(path.clone()).await.ok()["display_name"],
        "the tablet"
    );
    bob.get(path.clone()).await.refused(404, "M_NOT_FOUND");
    bob.put(path, &json!({"display_name": "mine now"}))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn deleting_a_device_needs_the_password() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let [tablet, phone] = [alice.logs_in_again().await, alice.logs_in_again().await];
    let path = v3(&["devices", &tablet.device]);
    let challenge = alice.delete(path.clone()).await;
    assert_eq!(challenge.status, 401);
    let challenge = challenge.json();
    let auth = |user: &User, password: &str| {
        json!({"auth": {
            "type": "m.login.password", "session": challenge["session"], "password": password,
            "identifier": {"type": "m.id.user", "user": user.id},
        }})
    };
    let wrong = alice
        .delete(path.clone())
        .json(&auth(&alice, "wrong"))
        .await;
    assert_eq!(
        (wrong.status, wrong.errcode().as_deref()),
        (401, Some("M_FORBIDDEN"))
    );
    tablet.get(WHOAMI).await.ok();
    assert!(
        alice
            .delete(path.clone())
            .json(&auth(&bob, &bob.password))
            .await
            .status
            >= 400,
        "another user's password"
    );
    alice
        .delete(path)
        .json(&auth(&alice, &alice.password))
        .await
        .ok();
    tablet.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");

    let delete = |body: &serde_json::Value| alice.post("/_matrix/client/v3/delete_devices", body);
    let mut body = json!({"devices": [phone.device]});
    let challenge = delete(&body).await.json();
    body["auth"] = json!({
        "type": "m.login.password", "session": challenge["session"], "password": alice.password,
        "identifier": {"type": "m.id.user", "user": alice.id},
    });
    delete(&body).await.ok();
    phone.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let tablet = alice.logs_in_again().await;
    let path = "/_matrix/client/v3/account/password";
    let mut body = json!({"new_password": "an even longer password"});
    let challenge = alice.post(path, &body).await;
    assert_eq!(challenge.status, 401);
    body["auth"] = json!({
        "type": "m.login.password", "session": challenge.json()["session"], "password": alice.password,
        "identifier": {"type": "m.id.user", "user": alice.id},
    });
    alice.post(path, &body).await.ok();
    alice.get(WHOAMI).await.ok();
    tablet.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    alice.logs_in().await.refused(403, "M_FORBIDDEN");
    let mut renewed = alice;
    renewed.password = "an even longer password".to_owned();
    renewed.logs_in().await.ok();
}

#[tokio::test]
async fn a_deactivated_account_is_closed_for_good() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let path = "/_matrix/client/v3/account/deactivate";
    let challenge = bob.post(path, &json!({})).await;
    assert_eq!(challenge.status, 401);
    let auth = json!({"auth": {
        "type": "m.login.password", "session": challenge.json()["session"], "password": bob.password,
        "identifier": {"type": "m.id.user", "user": bob.id},
    }});
    bob.post(path, &auth).await.ok();
    bob.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(bob.logs_in().await.status, 403);
    let body = json!({"username": bob.name(), "password": "some long password", "auth": {"type": "m.login.dummy"}});
    server
        .post(REGISTER, &body)
        .await
        .refused(400, "M_USER_IN_USE");
    tests::eventually::eventually("bob leaves the room", async || {
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        (member["membership"] == "leave").then_some(())
    })
    .await;
}
