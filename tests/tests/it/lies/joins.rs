//! A server through which somebody joins, and that lies about the room. FJOIN-03, FJOIN-07.

use std::time::Instant;

use serde_json::{Value, json};
use tests::{
    Room,
    path::v3,
    peer::{Pdu, Reply},
};

use super::Scene;

/// Joins through the liar and is refused, in time; then through the same one, honest, and is not.
async fn is_seen_through(scene: &Scene, lie: &str, room: &Room) {
    let Scene { alice, peer, .. } = scene;
    let answer = alice.joins_via(room, peer.name()).await;
    assert!(
        (400..=502).contains(&answer.status) && answer.status != 500,
        "{lie}: {}",
        answer.summary()
    );
    let joined = alice.get(v3(&["joined_rooms"])).await.ok();
    let joined = joined["joined_rooms"]
        .as_array()
        .expect("a list")
        .contains(&json!(room.id));
    assert!(!joined, "{lie}");
    peer.forgets_scripts();
    let answer = alice.joins_via(room, peer.name()).await;
    assert_eq!(answer.status, 200, "after {lie}: {}", answer.summary());
    scene.talks().await;
}

#[tokio::test]
async fn a_draft_of_something_else_is_not_signed() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene { peer, carol, .. } = &scene;
    type Lie = (&'static str, &'static str, Value);
    let lies: [Lie; 9] = [
        (
            "another room",
            "/event/room_id",
            json!("!other:elsewhere.example"),
        ),
        ("another sender", "/event/sender", json!(carol)),
        ("another user", "/event/state_key", json!(carol)),
        ("another type", "/event/type", json!("m.room.power_levels")),
        ("an unknown version", "/room_version", json!("99")),
        ("a version that is none", "/room_version", json!(10)),
        ("no event", "/event", json!([])),
        (
            "parents that are none",
            "/event/prev_events",
            json!((0..30).map(|n| format!("$none{n}")).collect::<Vec<_>>()),
        ),
        ("another version", "/room_version", json!("11")),
    ];
    for (lie, pointer, value) in lies {
        let room = peer.creates_room(carol, "10", "public");
        let honest = peer.clone();
        peer.answers("make_join", move |ask| {
            let mut body = honest.honest(ask).into_body();
            if let Some(place) = body.pointer_mut(pointer) {
                *place = value.clone();
            }
            Reply::ok(body)
        });
        is_seen_through(&scene, lie, &room).await;
    }
    let room = peer.creates_room(carol, "10", "public");
    let honest = peer.clone();
    peer.answers("make_join", move |ask| {
        let mut body = honest.honest(ask).into_body();
        body["event"]["content"]["membership"] = json!("ban");
        Reply::ok(body)
    });
    is_seen_through(&scene, "another membership", &room).await;
}

/// A change of an answer, and what it is called.
type Forgery = (&'static str, Box<dyn Fn(&mut Value) + Send + Sync>);

/// What `send_join` may not give.
fn forgeries(scene: &Scene, other: &Room) -> Vec<Forgery> {
    let foreign = scene.peer.room(other).state();
    let is_create = |event: &Value| event["type"] == "m.room.create";
    vec![
        (
            "nothing",
            Box::new(|body| {
                body["state"] = json!([]);
                body["auth_chain"] = json!([]);
            }),
        ),
        (
            "no create event",
            Box::new(move |body| {
                for key in ["state", "auth_chain"] {
                    body[key]
                        .as_array_mut()
                        .expect("events")
                        .retain(|event| !is_create(event));
                }
            }),
        ),
        (
            "the state of another room",
            Box::new(move |body| {
                body["state"] = json!(foreign);
                body["auth_chain"] = json!(foreign);
            }),
        ),
        (
            "unsigned state",
            Box::new(|body| {
                for event in body["state"].as_array_mut().expect("events") {
                    event["signatures"] = json!({});
                }
            }),
        ),
        (
            "another join",
            Box::new(|body| body["event"] = body["state"][0].clone()),
        ),
        (
            "shapes that are none",
            Box::new(|body| {
                body["state"] = json!({"a": 1});
            }),
        ),
        (
            "values that are no events",
            Box::new(|body| {
                body["state"] = json!([1, "text", null, [], {}]);
            }),
        ),
    ]
}

#[tokio::test]
async fn a_forged_room_is_not_entered() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene { peer, carol, .. } = &scene;
    let other = peer.creates_room(carol, "10", "public");
    for (lie, forge) in forgeries(&scene, &other) {
        let room = peer.creates_room(carol, "10", "public");
        let honest = peer.clone();
        peer.answers("send_join", move |ask| {
            let mut body = honest.honest(ask).into_body();
            forge(&mut body);
            Reply::ok(body)
        });
        is_seen_through(&scene, lie, &room).await;
    }
}

/// What does not carry the join is left out, and the room is entered without it: FJOIN-07.
#[tokio::test]
async fn forged_members_and_powers_are_left_out_of_the_room() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        alice, peer, carol, ..
    } = &scene;
    let room = peer.creates_room(carol, "10", "public");
    let held = peer.room(&room);
    let eve = "@eve:127.0.0.1:9";
    let forged = held.draft(
        eve,
        "m.room.member",
        Some(eve),
        &json!({"membership": "join"}),
    );
    let forged = peer.seals(&room, &forged);
    let levels = json!({"users": {eve: 100, carol: 100}});
    let usurped = peer.seals(
        &room,
        &held.draft(eve, "m.room.power_levels", Some(""), &levels),
    );
    // Signed by the right server, but by somebody who may not, or is not there.
    let dave = peer.user("dave");
    let stranger = peer.seals(
        &room,
        &held.draft(&dave, "m.room.topic", Some(""), &json!({"topic": "mine"})),
    );
    let mut dangling = held.draft(
        carol,
        "m.room.avatar",
        Some(""),
        &json!({"url": "mxc://a/b"}),
    );
    dangling["auth_events"] = held.named(["$none"]);
    let dangling = peer.seals(&room, &dangling);
    let honest = peer.clone();
    let added: Vec<Value> = [&forged, &usurped, &stranger, &dangling]
        .map(|pdu| pdu.json.clone())
        .to_vec();
    peer.answers("send_join", move |ask| {
        let mut body = honest.honest(ask).into_body();
        for key in ["state", "auth_chain"] {
            body[key]
                .as_array_mut()
                .expect("events")
                .extend(added.iter().cloned());
        }
        Reply::ok(body)
    });
    alice.joins_via(&room, peer.name()).await.ok();
    for (kind, key) in [
        ("m.room.member", eve),
        ("m.room.topic", ""),
        ("m.room.avatar", ""),
    ] {
        let answer = alice.state(&room, kind, key).await;
        assert_eq!(answer.status, 404, "{kind}: {}", answer.summary());
    }
    let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
    assert_eq!(levels["users"], json!({carol: 100}));
    let said = alice.says(&room, "all is well").await;
    alice.syncs_until(&room, &said).await;
}

/// The next server on the list is asked; the time that the silent one takes is bounded.
#[tokio::test]
async fn a_join_through_a_silent_server_ends() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        alice, peer, carol, ..
    } = &scene;
    let room = peer.creates_room(carol, "10", "public");
    let silent = scene.machine.peer().await;
    silent.answers("make_join", |_| Reply::Trickle);
    let since = Instant::now();
    let joining = alice.post(v3(&["join", &room.id]), &json!({}));
    let joining = joining
        .query("via", silent.name())
        .query("via", peer.name());
    let (joined, ()) = tokio::join!(joining.into_future(), scene.goes_on());
    joined.ok();
    assert!(since.elapsed().as_secs() < 60);
}

#[tokio::test]
async fn an_endless_answer_to_a_join_is_cut_off() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let room = scene.peer.creates_room(&scene.carol, "10", "public");
    let before = scene.server.memory_kib();
    scene.peer.answers("make_join", |_| {
        Reply::Endless(b"{\"a\":\"".to_vec(), vec![b'a'; 65_536])
    });
    is_seen_through(&scene, "an endless draft", &room).await;
    let grown = scene.server.memory_kib().saturating_sub(before);
    assert!(grown < 200 * 1024, "{grown} KiB more");
}

/// Members of other servers that the peer made up do not become ours: our own users are not let in by others.
#[tokio::test]
async fn a_join_that_another_server_made_for_a_local_user_is_not_believed() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        room,
        ..
    } = &scene;
    let bob = server.user("bob").await;
    let held = peer.room(room);
    let join = held.draft(
        &bob.id,
        "m.room.member",
        Some(&bob.id),
        &json!({"membership": "join"}),
    );
    let join = Pdu::seal(held.version(), &join, peer.key());
    let answer = scene.tries(std::slice::from_ref(&join)).await;
    assert!(
        matches!(answer.of_pdu(&join), Some(Some(_))),
        "{}",
        answer.summary()
    );
    peer.sends_member(server, "join", room, &join)
        .await
        .refused(400, "M_INVALID_PARAM");
    peer.makes(server, "join", room, &bob.id)
        .await
        .refused(403, "M_FORBIDDEN");
    let joined = alice.state(room, "m.room.member", &bob.id).await;
    assert_eq!(joined.status, 404);
}
