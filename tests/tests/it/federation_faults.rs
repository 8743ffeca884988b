//! The server ends without warning while it talks to another one, and goes on where it was.

use serde_json::{Value, json};
use tests::{
    eventually::eventually,
    federation::Neighbourhood,
    path::v3,
    peer::{Ask, Pdu, Reply},
    sync::Sync,
};

use super::scene::{Scene, server_and_peer};

/// Wherever in the handshake it ends, the user can join afterwards, and is in the room once.
#[tokio::test]
async fn a_join_through_another_server_survives_a_kill() {
    let Some((_machine, mut server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let carol = peer.user("carol");
    for operation in ["make_join", "send_join"] {
        let room = peer.creates_room(&carol, "10", "public");
        peer.script(move |ask| (ask.operation() == operation).then_some(Reply::Silence));
        let path = v3(&["join", &room.id]);
        let joining = alice
            .post(path.as_str(), &json!({}))
            .query("via", peer.name());
        let joining = tokio::spawn(joining.attempt());
        let of_room = |ask: &Ask| ask.operation() == operation && ask.argument(0) == room.id;
        let asked = async || peer.asked(operation).iter().any(of_room).then_some(());
        eventually(operation, asked).await;
        server.kill();
        assert!(joining.await.expect("no panic").is_err(), "it was answered");
        server.restart().await;
        peer.forgets_scripts();

        let joined = alice.get(v3(&["joined_rooms"])).await.ok();
        assert!(
            !joined["joined_rooms"]
                .as_array()
                .expect("a list")
                .contains(&json!(room.id))
        );
        alice
            .post(path.as_str(), &json!({}))
            .query("via", peer.name())
            .await
            .ok();
        let hers = peer.says(&room, &carol, "welcome");
        peer.sends(&server, std::slice::from_ref(&hers)).await.ok();
        alice.syncs_until(&room, &hers.id).await;
        let said = alice.says(&room, "here I am").await;
        peer.receives("alice's message", |event| {
            (peer.room(&room).id_of(event) == said).then_some(())
        })
        .await;
    }
}

/// The peer asks again with the same join, whatever became of the first one.
#[tokio::test]
async fn a_join_of_another_servers_user_survives_a_kill() {
    let Some((_machine, mut server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().public().await;
    let start = alice.syncs().await.next_batch();
    for n in 0..3 {
        let carol = peer.user(&format!("carol{n}"));
        let (version, join) = peer.drafts(&server, "join", &room, &carol).await;
        let join = Pdu::seal(version, &join, peer.key());
        // It ends as soon as somebody sees the join, or has its answer.
        let answered = tokio::select! {
            answer = peer.sends_member(&server, "join", &room, &join).attempt() => answer.is_ok(),
            _ = alice.syncs_when(&start, |sync| sync.event(&room, &join.id).cloned()) => false,
        };
        server.kill();
        server.restart().await;
        if answered {
            alice.state(&room, "m.room.member", &carol).await.ok();
        }
        let sent = peer.sends_member(&server, "join", &room, &join).await.ok();
        assert!(sent["state"].is_array());
        let member = alice.state(&room, "m.room.member", &carol).await.ok();
        assert_eq!(member["membership"], "join");
    }
    let said = alice.says(&room, "welcome all").await;
    peer.receives("alice's message", |event| {
        (event["content"]["body"] == "welcome all").then_some(())
    })
    .await;
    assert!(!said.is_empty());
}

/// A transaction that was not answered is sent again, and everything in it is there once.
#[tokio::test]
async fn a_transaction_survives_a_kill() {
    let Some(scene) = Scene::new("12").await else {
        return;
    };
    let Scene {
        mut server,
        alice,
        peer,
        carol,
        room,
        ..
    } = scene;
    let start = alice.syncs().await.next_batch();
    let mut all = Vec::new();
    for txn in ["one", "two", "three"] {
        let pdus: Vec<Pdu> = (0..50)
            .map(|n| peer.says(&room, &carol, &format!("{txn} {n}")))
            .collect();
        let events: Vec<_> = pdus.iter().map(|pdu| pdu.json.clone()).collect();
        let body = peer.transaction(&json!(events), &json!([]));
        // It ends as soon as somebody sees one of them, or has the answer.
        let seen = |sync: &Sync| {
            pdus.iter()
                .find_map(|pdu| sync.event(&room, &pdu.id).cloned())
        };
        tokio::select! {
            answer = peer.transacts_as(&server, txn, &body).attempt() => drop(answer),
            _ = alice.syncs_when(&start, seen) => {}
        }
        server.kill();
        server.restart().await;
        let answer = peer.transacts_as(&server, txn, &body).await;
        for pdu in &pdus {
            assert_eq!(answer.of_pdu(pdu), Some(None), "{}", answer.summary());
        }
        all.extend(pdus);
    }
    let last = all.last().expect("the last");
    let seen = alice.syncs_on_until(Some(&start), &room, &last.id).await;
    let history = alice.all_messages(&room, "b", 100).await;
    for pdu in &all {
        let times = history
            .iter()
            .filter(|event| event["event_id"] == pdu.id.as_str())
            .count();
        assert_eq!(times, 1, "{} of {}", pdu.id, history.len());
    }
    assert!(!seen.timeline.is_empty());
}

/// What was acknowledged while it waited for what it builds on is taken in after a kill, and nobody sends it again.
#[tokio::test]
async fn events_that_were_acknowledged_and_wait_survive_a_kill() {
    let Some(scene) = Scene::new("12").await else {
        return;
    };
    let Scene {
        mut server,
        alice,
        peer,
        carol,
        room,
        ..
    } = scene;
    let start = alice.syncs().await.next_batch();
    let missed: Vec<Pdu> = (0..3)
        .map(|n| peer.says(&room, &carol, &n.to_string()))
        .collect();
    let last = peer.says(&room, &carol, "the last");
    let asks = [
        "get_missing_events",
        "state_ids",
        "state",
        "event",
        "backfill",
    ];
    peer.script(move |ask| asks.contains(&ask.operation()).then_some(Reply::Silence));
    let answer = peer.sends(&server, std::slice::from_ref(&last)).await;
    assert_eq!(answer.of_pdu(&last), Some(None), "{}", answer.summary());
    let asked = async || (!peer.asked("get_missing_events").is_empty()).then_some(());
    eventually("the gap is asked for", asked).await;
    server.kill();
    peer.forgets_scripts();
    server.restart().await;
    let seen = alice.syncs_on_until(Some(&start), &room, &last.id).await;
    let ids = seen.ids();
    for pdu in &missed {
        assert!(ids.iter().any(|id| *id == pdu.id), "{ids:?}");
    }
}

/// A file of settings by which all that a server missed is only a little.
fn little_is_all(machine: &Neighbourhood) -> String {
    let file = machine.file("catch-up.toml");
    std::fs::write(&file, "[federation]\ncatch_up_max = 10\n").expect("a file");
    file
}

#[tokio::test]
async fn a_server_that_missed_very_much_gets_the_newest_of_each_room() {
    let machine = Neighbourhood::new();
    let file = little_is_all(&machine);
    let Some(mut server) = machine.server_with(&["--config", &file]).await else {
        return;
    };
    let peer = machine.peer().await;
    let carol = peer.user("carol");
    let alice = server.user("alice").await;
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let room = alice.creates_room().public().version("10").await;
        peer.joins(&server, &room, &carol).await;
        rooms.push(room);
    }
    // What was before has arrived.
    for room in &rooms {
        let said = alice.says(room, "before").await;
        peer.receives("what was before", |pdu| {
            (peer.room(room).id_of(pdu) == said).then_some(())
        })
        .await;
    }
    peer.answers("send", |_| Reply::refused(503, "M_UNKNOWN"));
    let arrived = peer.asked("send").len();
    let mut newest = Vec::new();
    for room in &rooms[..2] {
        let mut said = String::new();
        for n in 0..20 {
            said = alice.says(room, &format!("missed {n}")).await;
        }
        newest.push((room, said));
    }
    eventually("a failure", async || {
        (peer.asked("send").len() > arrived).then_some(())
    })
    .await;
    server.stop().await;
    peer.forgets_scripts();
    let before = peer.received().len();
    server.restart().await;
    // It is left alone for a while, unless it speaks.
    peer.tells(&server, &json!([])).await.ok();
    for (room, said) in &newest {
        eventually("the newest", async || {
            let sent = peer.received().split_off(before);
            let is_it = |pdu: &Value| peer.room(room).id_of(pdu) == *said;
            sent.iter().any(is_it).then_some(())
        })
        .await;
    }
    let sent = peer.received().split_off(before);
    let bodies: Vec<&Value> = sent.iter().map(|pdu| &pdu["content"]["body"]).collect();
    assert!(
        sent.len() <= rooms.len(),
        "{before} of {}: {bodies:?}",
        peer.received().len()
    );
}
