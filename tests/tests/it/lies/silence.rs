//! Who does not answer: others do not wait for them. RECV-13, FKEY-04.

use serde_json::json;
use tests::{
    federation::Neighbourhood,
    peer::{Peer, Reply},
};

use super::Scene;

/// In how many rooms the peer does not tell what it builds on; more than are worked on at once for one server.
const SILENT_ROOMS: usize = 9;

#[tokio::test]
async fn rooms_of_a_server_that_does_not_answer_leave_time_for_others() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        machine,
        server,
        alice,
        peer,
        carol,
        room,
    } = &scene;
    for operation in ["get_missing_events", "state_ids", "state", "event"] {
        peer.answers(operation, |_| Reply::Silence);
    }
    for _ in 0..SILENT_ROOMS {
        let silent = alice.creates_room().public().version("10").await;
        peer.joins(server, &silent, carol).await;
        peer.says(&silent, carol, "withheld");
        let late = peer.says(&silent, carol, "upon it");
        peer.sends(server, &[late]).await.ok();
    }
    let honest = machine.peer().await;
    let dora = honest.user("dora");
    honest.joins(server, room, &dora).await;
    let missed = honest.says(room, &dora, "missed");
    let heard = honest.says(room, &dora, "heard");
    honest
        .sends(server, std::slice::from_ref(&heard))
        .await
        .ok();
    let seen = alice.syncs_until(room, &heard.id).await;
    assert!(seen.ids().contains(&missed.id.as_str()));
}

/// How often a notary was asked.
fn asked(notary: &Peer) -> usize {
    let asked = notary.asked("key");
    let queries = asked.iter().filter(|ask| ask.path.ends_with("/query"));
    queries.count()
}

#[tokio::test]
async fn a_key_that_nobody_has_is_looked_for_once() {
    let machine = Neighbourhood::new();
    let (notary, peer) = (machine.peer().await, machine.peer().await);
    notary.answers("key", {
        let honest = notary.clone();
        move |ask| match ask.path.ends_with("/query") {
            true => Reply::ok(json!({"server_keys": []})),
            false => honest.honest(ask),
        }
    });
    let file = machine.file("notary.toml");
    let section = format!("[federation]\nkey_notaries = [\"{}\"]\n", notary.name());
    std::fs::write(&file, section).expect("a file");
    let Some(server) = machine.server_with(&["--config", &file]).await else {
        return;
    };
    let uri = "/_matrix/federation/v1/query/profile?user_id=%40a%3Aa";
    let header = peer.header(server.name(), "GET", uri, None);
    let forged = header.replace(peer.key().key_id(), "ed25519:none");
    assert_ne!(header, forged);
    for _ in 0..10 {
        let call = server.call(reqwest::Method::GET, uri);
        let answer = call.authorization(forged.as_str()).await;
        answer.refused(401, "M_UNAUTHORIZED");
    }
    assert_eq!(asked(&notary), 1);
    let itself = peer.asked("key").len();
    assert_eq!(itself, 1, "nor is it asked itself");
    // Who signs with a key that there is goes through.
    let call = server.call(reqwest::Method::GET, uri).authorization(header);
    assert_ne!(call.await.status, 401);
}
