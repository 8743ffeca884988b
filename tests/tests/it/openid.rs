//! OpenID: a third party learns who somebody is.

use serde_json::json;
use tests::{TestServer, path::v3};

const USERINFO: &str = "/_matrix/federation/v1/openid/userinfo";

#[tokio::test]
async fn a_token_says_who_its_user_is_and_opens_nothing() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let path = v3(&["user", &alice.id, "openid", "request_token"]);
    let given = alice.post(path.clone(), &json!({})).await.ok();
    assert_eq!(given["matrix_server_name"], json!(alice.server_name()));
    assert_eq!(
        (&given["token_type"], &given["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
    let token = given["access_token"].as_str().expect("a token");
    bob.post(path, &json!({})).await.refused(403, "M_FORBIDDEN");
    if !server.is_own() {
        return; // Others serve federation elsewhere.
    }
    let told = server.get(USERINFO).query("access_token", token).await.ok();
    assert_eq!(told, json!({"sub": alice.id}));
    for wrong in ["", "nonsense", &alice.token] {
        let answer = server.get(USERINFO).query("access_token", wrong).await;
        answer.refused(401, "M_UNKNOWN_TOKEN");
    }
    server.get(USERINFO).await.refused(401, "M_MISSING_TOKEN");
    let whoami = server
        .get("/_matrix/client/v3/account/whoami")
        .token(token)
        .await;
    whoami.refused(401, "M_UNKNOWN_TOKEN");

    let path = v3(&["account", "deactivate"]);
    let challenge = alice.post(path.clone(), &json!({})).await.json();
    let auth = json!({
        "type": "m.login.password", "session": challenge["session"], "password": alice.password,
        "identifier": {"type": "m.id.user", "user": alice.id},
    });
    alice.post(path, &json!({"auth": auth})).await.ok();
    let answer = server.get(USERINFO).query("access_token", token).await;
    answer.refused(401, "M_UNKNOWN_TOKEN");
}
