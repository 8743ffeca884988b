//! Invites that are none. FJOIN-10, FJOIN-11.

use serde_json::{Value, json};
use spec::room_version::{EventIds, RoomVersion};
use tests::{
    Peer, Room, User,
    peer::{Pdu, now_ms},
};

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

/// An invite of Alice's to a room, in the form and by the name of any version.
fn invite_in(peer: &Peer, alice: &User, room: &Room, inviter: &str, version: &str) -> (Pdu, Value) {
    let rules = RoomVersion::get(version).expect("a version");
    let mut draft = json!({
        "type": "m.room.member", "sender": inviter, "state_key": alice.id, "room_id": room.id,
        "content": {"membership": "invite"}, "origin_server_ts": now_ms(), "depth": 5,
        "prev_events": [], "auth_events": [],
    });
    if rules.event_ids == EventIds::Chosen {
        let hash = json!({"sha256": "q7mUSoVA3Cyj0TZSJJcH9+PX5RYrrdNQuaZiTrgVJ4U"});
        draft["prev_events"] = json!([[format!("$before:{}", peer.name()), hash]]);
        draft["event_id"] = json!(format!("$invite:{}", peer.name()));
    } else {
        draft["prev_events"] = json!(["$q7mUSoVA3Cyj0TZSJJcH9-PX5RYrrdNQuaZiTrgVJ4U"]);
    }
    let invite = Pdu::seal(rules, &draft, peer.key());
    let body = json!({"room_version": version, "event": invite.json, "invite_room_state": []});
    (invite, body)
}

/// What an invite says of the room's version is the word of one server. The room's own events decide.
#[tokio::test]
async fn an_invite_that_lies_about_the_version_closes_no_room() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        machine,
        server,
        alice,
        peer,
        carol,
        ..
    } = &scene;
    let liar = machine.peer().await;
    let eve = liar.user("eve");
    for (lie, truth) in [("1", "11"), ("11", "1"), ("6", "10")] {
        let room = peer.creates_room(carol, truth, "public");
        let since = alice.syncs().await.next_batch();
        let (invite, body) = invite_in(&liar, alice, &room, &eve, lie);
        liar.sends_invite_body(server, &room, &invite.id, &body)
            .await
            .ok();
        alice
            .syncs_when(&since, |sync| sync.invited(&room).cloned())
            .await;
        // The server of the room says what it is.
        alice.joins_via(&room, peer.name()).await.ok();
        let create = alice.state(&room, "m.room.create", "").await.ok();
        assert_eq!(create["room_version"], truth, "after {lie}");
        let said = alice.says(&room, "I am in").await;
        alice.syncs_until(&room, &said).await;
        // Who has not heard of the invite yet can still read it.
        alice.syncs().since(&since).await;
        alice.syncs().await;

        // Once the room is known, nobody can say otherwise.
        let bob = server.user(&format!("bob-{lie}-{truth}")).await;
        let (invite, body) = invite_in(&liar, &bob, &room, &eve, lie);
        liar.sends_invite_body(server, &room, &invite.id, &body)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn an_honest_invite_holds_after_one_that_lies_about_the_version() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        machine,
        server,
        alice,
        peer,
        carol,
        ..
    } = &scene;
    let liar = machine.peer().await;
    let eve = liar.user("eve");
    for (lie, truth) in [("2", "12"), ("9", "1")] {
        let room = peer.creates_room(carol, truth, "invite");
        let (false_invite, body) = invite_in(&liar, alice, &room, &eve, lie);
        liar.sends_invite_body(server, &room, &false_invite.id, &body)
            .await
            .ok();
        let content = json!({"membership": "invite"});
        let draft = peer
            .room(&room)
            .draft(carol, "m.room.member", Some(&alice.id), &content);
        let invite = peer.seals(&room, &draft);
        peer.sends_invite(server, &room, &invite).await.ok();
        peer.adds(&room, &invite);
        alice.syncs().await;
        // And once more the lie, which changes nothing for who joins.
        let (again, body) = invite_in(&liar, alice, &room, &eve, lie);
        liar.sends_invite_body(server, &room, &again.id, &body)
            .await
            .ok();
        alice.syncs().await;
        alice.joins_via(&room, peer.name()).await.ok();
        let said = alice.says(&room, "I am in").await;
        alice.syncs_until(&room, &said).await;
    }
}
