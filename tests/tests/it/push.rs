//! What rings, and for whom.

use tests::TestServer;

#[tokio::test]
async fn everybody_starts_with_the_default_push_rules() {
    let server = TestServer::start().await;
    let [alice] = server.users(["alice"]).await;
    let rules = alice.get("/_matrix/client/v3/pushrules/").await.ok();
    let of_kind = |kind: &str| -> Vec<String> {
        let rules = rules["global"][kind]
            .as_array()
            .cloned()
            .unwrap_or_default();
        rules
            .iter()
            .filter_map(|rule| rule["rule_id"].as_str().map(str::to_owned))
            .collect()
    };
    // Off until the user turns it on, and tried before all others.
    assert_eq!(
        of_kind("override").first().map(String::as_str),
        Some(".m.rule.master")
    );
    assert!(
        of_kind("underride")
            .iter()
            .any(|rule| rule == ".m.rule.message"),
        "{rules}"
    );

    server
        .get("/_matrix/client/v3/pushrules/")
        .await
        .refused(401, "M_MISSING_TOKEN");
}
