//! Names and pictures of users.

use serde_json::json;
use tests::{TestServer, eventually::eventually, path::v3};

#[tokio::test]
async fn a_profile_is_set_by_its_owner_and_read_by_all() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let field = |key: &str| v3(&["profile", &alice.id, key]);
    alice
        .put(field("displayname"), &json!({"displayname": "Alice ✨"}))
        .await
        .ok();
    alice
        .put(
            field("avatar_url"),
            &json!({"avatar_url": "mxc://example.org/abc"}),
        )
        .await
        .ok();
    let profile = server.get(v3(&["profile", &alice.id])).await.ok();
    assert_eq!(
        (&profile["displayname"], &profile["avatar_url"]),
        (&json!("Alice ✨"), &json!("mxc://example.org/abc"))
    );
    assert_eq!(
        bob.get(field("displayname")).await.ok(),
        json!({"displayname": "Alice ✨"})
    );
    bob.put(field("displayname"), &json!({"displayname": "Eve"}))
        .await
        .refused_by_us(403, "M_FORBIDDEN");
    server
        .get(v3(&["profile", "@nobody-of-that-name:localhost"]))
        .await
        .refused(404, "M_NOT_FOUND");
    let answer = alice
        .put(field("displayname"), &json!({"displayname": 5}))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.summary());
}

#[tokio::test]
async fn a_profile_holds_further_fields() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let field = |key: &str| v3(&["profile", &alice.id, key]);
    for (key, value) in [
        ("m.tz", json!("Europe/Paris")),
        ("org.example.job", json!({"title": ["a", 1]})),
    ] {
        alice.put(field(key), &json!({key: value})).await.ok();
        assert_eq!(bob.get(field(key)).await.ok(), json!({key: value}));
        assert_eq!(
            server.get(v3(&["profile", &alice.id])).await.ok()[key],
            value
        );
        bob.delete(field(key))
            .await
            .refused_by_us(403, "M_FORBIDDEN");
        alice.delete(field(key)).await.ok();
        bob.get(field(key)).await.refused(404, "M_NOT_FOUND");
    }
    alice
        .put(field("org.example.job"), &json!({"another": 1}))
        .await
        .refused(400, "M_MISSING_PARAM");
    let long = format!("org.example.{}", "a".repeat(300));
    alice
        .put(field(&long), &json!({&long: 1}))
        .await
        .refused(400, "M_KEY_TOO_LARGE");
    let large = json!({"org.example.big": "x".repeat(66_000)});
    alice
        .put(field("org.example.big"), &large)
        .await
        .refused(400, "M_PROFILE_TOO_LARGE");
}

#[tokio::test]
async fn a_new_name_reaches_the_rooms() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    alice
        .put(
            v3(&["profile", &alice.id, "displayname"]),
            &json!({"displayname": "Queen"}),
        )
        .await
        .ok();
    eventually("the member event", async || {
        let member = bob.state(&room, "m.room.member", &alice.id).await.ok();
        (member["displayname"] == "Queen").then_some(())
    })
    .await;
    let joined = bob
        .get(v3(&["rooms", &room.id, "joined_members"]))
        .await
        .ok();
    assert_eq!(
        joined["joined"][&alice.id],
        json!({"display_name": "Queen", "avatar_url": null})
    );
    // It is on later joins as well.
    let other = bob.creates_room().with([&alice]).await;
    assert_eq!(
        bob.state(&other, "m.room.member", &alice.id).await.ok()["displayname"],
        "Queen"
    );
}

/// PROF-03, and client-server API, "`m.profile_fields` capability".
#[tokio::test]
async fn what_the_operator_keeps_to_themselves_nobody_changes_but_administrators() {
    let text = "[profiles]\nfixed_fields = [\"displayname\", \"com.example.team\"]\n";
    let Some(server) = TestServer::start_configured(text).await else {
        return;
    };
    let (admin, alice) = (server.admin().await, server.user("alice").await);
    let shown = alice.get(v3(&["capabilities"])).await.ok();
    let shown = &shown["capabilities"];
    let expected = json!({"enabled": true, "disallowed": ["displayname", "com.example.team"]});
    assert_eq!(shown["m.profile_fields"], expected);
    assert_eq!(shown["m.set_displayname"], json!({"enabled": false}));
    assert_eq!(shown["m.set_avatar_url"], json!({"enabled": true}));
    for field in ["displayname", "com.example.team"] {
        let path = v3(&["profile", &alice.id, field]);
        let value = json!({field: "Boss"});
        let put = alice.put(path.clone(), &value).await;
        put.refused(403, "M_FORBIDDEN");
        admin.put(path.clone(), &value).await.ok();
        alice.delete(path.clone()).await.refused(403, "M_FORBIDDEN");
        assert_eq!(alice.get(path).await.ok(), value, "nothing has changed");
    }
    let path = v3(&["profile", &alice.id, "com.example.mood"]);
    alice.put(path, &json!({"com.example.mood": 5})).await.ok();

    let text = "[profiles]\nallowed_fields = [\"m.tz\"]\n";
    let Some(server) = TestServer::start_configured(text).await else {
        return;
    };
    let (_, alice) = (server.admin().await, server.user("alice").await);
    let shown = alice.get(v3(&["capabilities"])).await.ok();
    let expected = json!({"enabled": true, "allowed": ["m.tz"]});
    assert_eq!(shown["capabilities"]["m.profile_fields"], expected);
    let path = v3(&["profile", &alice.id, "m.tz"]);
    let zone = json!({"m.tz": "Europe/London"});
    alice.put(path, &zone).await.ok();
    let path = v3(&["profile", &alice.id, "avatar_url"]);
    let picture = json!({"avatar_url": "mxc://example.org/abc"});
    alice.put(path, &picture).await.refused(403, "M_FORBIDDEN");
}
