//! How it is sent: transactions over their limits, repeated, and of any shape. FTXN-01 to FTXN-03, RECV-11, RECV-12.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{path::join, peer::Pdu};

use super::Scene;

#[tokio::test]
async fn more_than_a_transaction_may_hold_is_refused_and_the_next_one_taken() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        server,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let all: Vec<Pdu> = (0..50)
        .map(|n| peer.says(room, carol, &n.to_string()))
        .collect();
    let one_more = scene.seals(&scene.message("one more"));
    let too_many: Vec<Pdu> = all.iter().chain([&one_more]).cloned().collect();
    peer.sends(server, &too_many)
        .await
        .refused(400, "M_INVALID_PARAM");
    assert!(!scene.sees(&all[0]).await);

    let edu = json!({"edu_type": "org.example.news", "content": {}});
    let edus = |count: usize| -> Value { vec![edu.clone(); count].into() };
    peer.tells(server, &edus(101))
        .await
        .refused(400, "M_INVALID_PARAM");
    peer.tells(server, &edus(100)).await.ok();
    let answer = scene.tries(&all).await;
    for pdu in &all {
        assert_eq!(answer.of_pdu(pdu), Some(None));
        assert!(scene.sees(pdu).await);
    }
    assert!(!scene.sees(&one_more).await);
}

#[tokio::test]
async fn a_transaction_counts_once() {
    let Some(scene) = Scene::new("10").await else {
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
    let (first, second) = (
        peer.says(room, carol, "first"),
        peer.says(room, carol, "second"),
    );
    let body = |pdu: &Pdu| peer.transaction(&json!([pdu.json]), &json!([]));
    let answer = peer.transacts_as(server, "same", &body(&first)).await.ok();
    let (again, other) = tokio::join!(
        peer.transacts_as(server, "same", &body(&first))
            .into_future(),
        peer.transacts_as(server, "same", &body(&second))
            .into_future(),
    );
    assert_eq!(again.ok(), answer, "the same again");
    assert_eq!(other.ok(), answer, "another body under the same ID");
    peer.transacts_as(server, "next", &body(&second)).await.ok();
    // By another server the ID is another one; and what is known already is not taken twice.
    let third = scene.machine.peer().await;
    let repeated = third.transaction(&json!([first.json, first.json]), &json!([]));
    third.transacts_as(server, "same", &repeated).await.ok();
    let seen = alice.syncs_until(room, &second.id).await;
    for pdu in [&first, &second] {
        assert_eq!(seen.ids().iter().filter(|id| **id == pdu.id).count(), 1);
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn whoever_signs_is_the_origin() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        server,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let pdu = peer.says(room, carol, "whose?");
    let mut body = peer.transaction(&json!([pdu.json]), &json!([]));
    for origin in [json!("elsewhere.example"), json!(server.name()), json!("")] {
        body["origin"] = origin;
        peer.transacts(server, &body)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    assert!(!scene.sees(&pdu).await);
    scene.goes_on().await;
}

#[tokio::test]
async fn shapes_that_are_none_are_refused() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene { server, peer, .. } = &scene;
    for (change, value) in [
        ("pdus", json!({})),
        ("pdus", json!("text")),
        ("pdus", Value::Null),
        ("edus", json!({})),
        ("edus", json!(1)),
    ] {
        let mut body = peer.transaction(&json!([]), &json!([]));
        body[change] = value;
        let answer = peer.transacts(server, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.summary());
    }
    peer.transacts(server, &json!([]))
        .await
        .refused(400, "M_BAD_JSON");
    scene.goes_on().await;
}

/// What is no event fails neither the transaction nor the events beside it.
#[tokio::test]
async fn what_is_no_event_is_left_out() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        server,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let honest = peer.says(room, carol, "beside them");
    let nothing = [
        json!(null),
        json!(1),
        json!("text"),
        json!([]),
        json!({}),
        json!({"room_id": 1}),
        json!({"room_id": "text"}),
        json!({"room_id": room.id}),
        json!({"room_id": room.id, "type": "m.room.message", "event_id": "$chosen:here"}),
    ];
    let pdus: Vec<Value> = nothing.into_iter().chain([honest.json.clone()]).collect();
    let answer = peer
        .transacts(server, &peer.transaction(&json!(pdus), &json!([])))
        .await;
    assert_eq!(answer.of_pdu(&honest), Some(None), "{}", answer.summary());
    let edus = json!([null, 1, "text", [], {}, {"edu_type": 1}, {"edu_type": "m.typing"}, {"edu_type": "m.typing", "content": []}]);
    peer.tells(server, &edus).await.ok();
    scene.goes_on().await;
}

/// A body that cannot be read cannot be checked either: nothing in it is believed.
#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene { server, peer, .. } = &scene;
    let uri = join("/_matrix/federation/v1", &["send", "1"]);
    let header = peer.header(server.name(), "PUT", &uri, Some(&json!({})));
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    let deep_objects = "{\"a\":".repeat(200_000).into_bytes();
    for (body, statuses) in [
        (b"".to_vec(), [401, 400]),
        (b"{".to_vec(), [400, 400]),
        (b"\xff\xfe".to_vec(), [400, 400]),
        (b"{} {}".to_vec(), [400, 400]),
        (br#"{"pdus":[],"pdus":[]}"#.to_vec(), [400, 400]),
        (br#"{"pdus":[],"n":1e999}"#.to_vec(), [400, 401]),
        (br#"{"pdus":[],"s":"\ud800"}"#.to_vec(), [400, 401]),
        (deep, [400, 400]),
        (deep_objects, [400, 400]),
        (vec![b' '; 17 * 1024 * 1024], [413, 413]),
    ] {
        let start = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        let call = server
            .call(Method::PUT, uri.as_str())
            .bytes(body)
            .authorization(header.as_str());
        // A server that has read enough may hang up on the rest.
        if let Ok(answer) = call.attempt().await {
            assert!(
                statuses.contains(&answer.status),
                "{start}: {}",
                answer.summary()
            );
        }
    }
    scene.goes_on().await;
}
