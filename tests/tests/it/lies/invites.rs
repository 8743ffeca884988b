//! Invites that are none. FJOIN-10, FJOIN-11.

use serde_json::{Value, json};
use tests::peer::Pdu;

use super::Scene;

#[tokio::test]
async fn what_is_no_invite_of_a_local_user_is_refused() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        carol,
        ..
    } = &scene;
    let start = alice.syncs().await.next_batch();
    let room = peer.creates_room(carol, "10", "invite");
    let held = peer.room(&room);
    let draft = |sender: &str, kind: &str, target: &str, membership: &str| {
        held.draft(
            sender,
            kind,
            Some(target),
            &json!({"membership": membership}),
        )
    };
    let invite = |target: &str| peer.seals(&room, &draft(carol, "m.room.member", target, "invite"));
    let nobody = format!("@nobody:{}", server.name());
    let mut unsigned = invite(&alice.id);
    unsigned.json["signatures"] = json!({});
    let mut misnamed = invite(&alice.id);
    misnamed.id = "$another".to_owned();
    let mut elsewhere = draft(carol, "m.room.member", &alice.id, "invite");
    elsewhere["room_id"] = json!("!elsewhere:elsewhere.example");
    let foreign = draft("@eve:127.0.0.1:9", "m.room.member", &alice.id, "invite");
    let invalid = (400, "M_INVALID_PARAM");
    for (lie, invite, refusal) in [
        ("a user of the peer", invite(&peer.user("dave")), invalid),
        (
            "a user of a third server",
            invite("@eve:elsewhere.example"),
            invalid,
        ),
        ("no user", invite("text"), invalid),
        (
            "somebody who is not there",
            invite(&nobody),
            (404, "M_NOT_FOUND"),
        ),
        ("unsigned", unsigned, invalid),
        (
            "by a user of a third server",
            peer.seals(&room, &foreign),
            invalid,
        ),
        ("another ID", misnamed, invalid),
        ("another room", peer.seals(&room, &elsewhere), invalid),
        (
            "a join",
            peer.seals(&room, &draft(carol, "m.room.member", &alice.id, "join")),
            invalid,
        ),
        (
            "a message",
            peer.seals(&room, &draft(carol, "m.room.message", &alice.id, "invite")),
            invalid,
        ),
    ] {
        let answer = peer.sends_invite(server, &room, &invite).await;
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (refusal.0, Some(refusal.1)),
            "{lie}: {}",
            answer.summary()
        );
    }
    let good = invite(&alice.id);
    for (body, errcode) in [
        (
            json!({"event": good.json, "invite_room_state": []}),
            "M_MISSING_PARAM",
        ),
        (
            json!({"room_version": "10", "invite_room_state": []}),
            "M_MISSING_PARAM",
        ),
        (
            json!({"room_version": 10, "event": good.json, "invite_room_state": []}),
            "M_BAD_JSON",
        ),
        (
            json!({"room_version": "10", "event": [], "invite_room_state": []}),
            "M_BAD_JSON",
        ),
        (
            json!({"room_version": "99", "event": good.json, "invite_room_state": []}),
            "M_INCOMPATIBLE_ROOM_VERSION",
        ),
    ] {
        peer.sends_invite_body(server, &room, &good.id, &body)
            .await
            .refused(400, errcode);
    }
    let last = alice.says(&scene.room, "the last").await;
    alice
        .syncs_when(&start, |sync| {
            assert_eq!(sync.invited(&room), None);
            sync.event(&scene.room, &last).map(|_| ())
        })
        .await;
    scene.goes_on().await;
}

/// From version 12 on, what an invite shows of its room must be of that room, signed, with its create event.
#[tokio::test]
async fn an_invite_shows_its_own_room() {
    let Some(scene) = Scene::new("12").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        carol,
        ..
    } = &scene;
    let room = peer.creates_room(carol, "12", "invite");
    let other = peer.creates_room(carol, "12", "invite");
    let held = peer.room(&room);
    let draft = held.draft(
        carol,
        "m.room.member",
        Some(&alice.id),
        &json!({"membership": "invite"}),
    );
    let invite: Pdu = peer.seals(&room, &draft);
    let state = |room| -> Vec<Value> { peer.room(room).state() };
    let without_create = state(&room)
        .into_iter()
        .filter(|event| event["type"] != "m.room.create")
        .collect();
    let mut unsigned = state(&room);
    for event in &mut unsigned {
        event["signatures"] = json!({});
    }
    for (lie, room_state) in [
        ("of another room", state(&other)),
        ("without its create event", without_create),
        ("unsigned", unsigned),
        (
            "stripped",
            vec![
                json!({"type": "m.room.create", "state_key": "", "sender": carol, "content": {"room_version": "12"}}),
            ],
        ),
        ("nothing", Vec::new()),
    ] {
        let body =
            json!({"room_version": "12", "event": invite.json, "invite_room_state": room_state});
        let answer = peer
            .sends_invite_body(server, &room, &invite.id, &body)
            .await;
        assert_eq!(answer.status, 400, "{lie}: {}", answer.summary());
    }
    let body =
        json!({"room_version": "12", "event": invite.json, "invite_room_state": state(&room)});
    peer.sends_invite_body(server, &room, &invite.id, &body)
        .await
        .ok();
}
