//! A server that a room locks out by its access list. MOD-02, MOD-03.

use serde_json::json;
use tests::{Room, path::escape, peer::Pdu};

use super::Scene;

async fn acl(scene: &Scene, deny: &[&str]) {
    let content = json!({"allow": ["*"], "deny": deny, "allow_ip_literals": true});
    let set = scene
        .alice
        .sets_state(&scene.room, "m.room.server_acl", "", &content);
    set.await.ok();
}

#[tokio::test]
async fn a_server_that_is_denied_is_kept_out_on_every_path() {
    let Some(scene) = Scene::at("localhost", "10").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let before = peer.says(room, carol, "before");
    scene.tries(std::slice::from_ref(&before)).await.ok();
    acl(&scene, &["LOCAL*"]).await;

    let other = alice.creates_room().public().await;
    peer.joins(server, &other, carol).await;
    let (here, there) = (
        peer.says(room, carol, "here"),
        peer.says(&other, carol, "there"),
    );
    let answer = peer.sends(server, &[here.clone(), there.clone()]).await;
    assert!(
        matches!(answer.of_pdu(&here), Some(Some(_))),
        "{}",
        answer.summary()
    );
    assert_eq!(answer.of_pdu(&there), Some(None));
    alice.syncs_until(&other, &there.id).await;
    assert!(!scene.sees(&here).await);
    is_kept_out(&scene, room, &before).await;

    // An event of the denied server is not taken from another one either.
    let third = scene.machine.peer().await;
    let answer = third.sends(server, std::slice::from_ref(&here)).await;
    assert!(
        matches!(answer.of_pdu(&here), Some(Some(_))),
        "{}",
        answer.summary()
    );
    assert!(!scene.sees(&here).await);

    acl(&scene, &["elsewhere.example"]).await;
    scene.goes_on().await;
    assert_eq!(
        peer.makes(server, "join", room, &peer.user("dave"))
            .await
            .status,
        200
    );
}

async fn is_kept_out(scene: &Scene, room: &Room, known: &Pdu) {
    let Scene {
        server,
        peer,
        carol,
        ..
    } = scene;
    let dave = peer.user("dave");
    let id = format!("event_id={}", escape(&known.id));
    peer.makes(server, "join", room, &dave)
        .await
        .refused(403, "M_FORBIDDEN");
    peer.makes(server, "leave", room, carol)
        .await
        .refused(403, "M_FORBIDDEN");
    let draft = peer.room(room).draft(
        &dave,
        "m.room.member",
        Some(&dave),
        &json!({"membership": "join"}),
    );
    let sending = peer.sends_member(server, "join", room, &scene.seals(&draft));
    sending.await.refused(403, "M_FORBIDDEN");
    for (segments, query) in [
        (vec!["event_auth", &room.id, &known.id], ""),
        (vec!["state", &room.id], id.as_str()),
        (vec!["state_ids", &room.id], id.as_str()),
        (vec!["backfill", &room.id], "v=%24x&limit=10"),
    ] {
        let answer = peer.gets(server, &segments, query).await;
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (403, Some("M_FORBIDDEN")),
            "{segments:?}: {}",
            answer.summary()
        );
    }
    // Of a single event it is not even told that it is there.
    let event = peer.gets(server, &["event", &known.id], "").await;
    assert!([403, 404].contains(&event.status), "{}", event.summary());
    let uri = tests::path::join("/_matrix/federation/v1", &["get_missing_events", &room.id]);
    let body = json!({"earliest_events": [], "latest_events": [known.id], "limit": 10});
    let asking = peer.asks(server, reqwest::Method::POST, &uri, Some(&body));
    asking.await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn the_ephemeral_news_of_a_denied_server_are_left_out() {
    let Some(scene) = Scene::at("localhost", "10").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let said = alice.says(room, "hello").await;
    acl(&scene, &["localhost"]).await;
    let start = alice.syncs().await.next_batch();
    let typing = json!({"room_id": room.id, "user_id": carol, "typing": true});
    let receipt =
        json!({room.id.as_str(): {"m.read": {carol: {"event_ids": [said], "data": {"ts": 1}}}}});
    let edus = json!([{"edu_type": "m.typing", "content": typing}, {"edu_type": "m.receipt", "content": receipt}]);
    peer.tells(server, &edus).await.ok();
    let last = alice.says(room, "the last").await;
    let seen = alice.syncs_on_until(Some(&start), room, &last).await;
    assert!(seen.ephemeral.is_empty(), "{:?}", seen.ephemeral);
}
