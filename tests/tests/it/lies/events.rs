//! What is sent: events that are not what they seem. RECV-01 to RECV-03, RECV-12, AUTHZ.

use serde_json::{Value, json};
use spec::sign::ServerKey;
use tests::{
    Answer,
    peer::{Pdu, Reply, now_ms, object, value},
};

use super::Scene;

const HOUR_MS: i64 = 60 * 60 * 1000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// It is not taken, nobody sees it, and the good event in the same transaction is taken.
async fn is_dropped(scene: &Scene, lie: &str, pdu: &Pdu) -> Answer {
    let honest = scene.peer.says(&scene.room, &scene.carol, "beside it");
    let answer = scene.tries(&[pdu.clone(), honest.clone()]).await;
    assert_ne!(answer.of_pdu(pdu), Some(None), "{lie}");
    assert_eq!(answer.of_pdu(&honest), Some(None), "{lie}");
    assert!(!scene.sees(pdu).await, "{lie}");
    assert!(scene.sees(&honest).await, "{lie}");
    answer
}

#[tokio::test]
async fn what_the_senders_server_has_not_signed_is_dropped() {
    for version in ["2", "5", "12"] {
        let Some(scene) = Scene::new(version).await else {
            return;
        };
        let Scene {
            peer, room, alice, ..
        } = &scene;
        let held = peer.room(room);
        let (name, version) = (peer.name(), held.version());
        let stranger = ServerKey::from_seed(peer.key().server().to_owned(), "unknown", &[1; 32]);
        let twin = ServerKey::from_seed(peer.key().server().to_owned(), "peer", &[1; 32]);
        let mut unsigned = scene.seals(&scene.message("unsigned"));
        unsigned.json["signatures"] = json!({});
        let mut wrong = scene.seals(&scene.message("wrong"));
        let other = scene.seals(&scene.message("other"));
        wrong.json["signatures"] = other.json["signatures"].clone();
        let mut garbage = scene.seals(&scene.message("garbage"));
        garbage.json["signatures"] = json!({name: {"ed25519:peer": "not base64 at all %"}});
        let hers = held.draft(
            &alice.id,
            "m.room.message",
            None,
            &json!({"body": "not hers"}),
        );
        let elsewhere = held.draft(
            "@eve:127.0.0.1:9",
            "m.room.message",
            None,
            &json!({"body": "who?"}),
        );
        for (lie, pdu) in [
            ("unsigned", unsigned),
            ("a signature of something else", wrong),
            ("no signature", garbage),
            (
                "a key that nobody publishes",
                Pdu::seal(version, &scene.message("?"), &stranger),
            ),
            (
                "another key of that name",
                Pdu::seal(version, &scene.message("?"), &twin),
            ),
            ("a user of our server", scene.seals(&hers)),
            ("a user of a third server", scene.seals(&elsewhere)),
        ] {
            let answer = is_dropped(&scene, lie, &pdu).await;
            assert!(
                matches!(answer.of_pdu(&pdu), Some(Some(_))),
                "{lie}: {}",
                answer.summary()
            );
        }
    }
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_dropped() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut event = scene.message("spoilt");
        change(&mut event);
        scene.seals(&event)
    };
    let ids = |count: usize| -> Value { (0..count).map(|n| json!(format!("$none{n}"))).collect() };
    let mut deep = json!(1);
    for _ in 0..110 {
        deep = json!([deep]);
    }
    let long = "a".repeat(66_000);
    let name = "n".repeat(256);
    for (lie, pdu) in [
        (
            "more than 65,536 bytes",
            spoilt(&|event| event["content"]["body"] = json!(long)),
        ),
        (
            "21 parents",
            spoilt(&|event| event["prev_events"] = ids(21)),
        ),
        (
            "11 permits",
            spoilt(&|event| event["auth_events"] = ids(11)),
        ),
        (
            "a fraction",
            spoilt(&|event| event["content"]["n"] = json!(1.5)),
        ),
        (
            "a number out of range",
            spoilt(&|event| event["content"]["n"] = json!(9_007_199_254_740_992_i64)),
        ),
        (
            "too deep",
            spoilt(&|event| event["content"]["deep"] = deep.clone()),
        ),
        ("a long type", spoilt(&|event| event["type"] = json!(name))),
        (
            "a long state key",
            spoilt(&|event| event["state_key"] = json!(name)),
        ),
        (
            "a state key that is none",
            spoilt(&|event| event["state_key"] = json!(1)),
        ),
        ("no type", spoilt(&|event| drop(event["type"].take()))),
        (
            "a sender that is no user",
            spoilt(&|event| event["sender"] = json!("carol")),
        ),
        (
            "a content that is no object",
            spoilt(&|event| event["content"] = json!("text")),
        ),
        (
            "a negative depth",
            spoilt(&|event| event["depth"] = json!(-1)),
        ),
        (
            "a time that is none",
            spoilt(&|event| event["origin_server_ts"] = json!("now")),
        ),
        (
            "parents that are none",
            spoilt(&|event| event["prev_events"] = json!([1, {}])),
        ),
        (
            "no permits",
            spoilt(&|event| drop(event["auth_events"].take())),
        ),
    ] {
        // What is no canonical JSON has no ID by which the answer could name it.
        is_dropped(&scene, lie, &pdu).await.ok();
    }
}

/// Room version 6 forbids what older ones let pass.
#[tokio::test]
async fn old_rooms_take_numbers_of_any_kind() {
    let Some(scene) = Scene::new("5").await else {
        return;
    };
    let mut event = scene.message("old");
    event["content"]["n"] = json!(1.5);
    event["content"]["large"] = json!(9_007_199_254_740_992_i64);
    let pdu = scene.seals(&event);
    assert_eq!(
        scene.tries(std::slice::from_ref(&pdu)).await.of_pdu(&pdu),
        Some(None)
    );
    assert!(scene.sees(&pdu).await);
}

#[tokio::test]
async fn a_content_that_was_not_signed_is_taken_out() {
    for version in ["2", "6", "12"] {
        let Some(scene) = Scene::new(version).await else {
            return;
        };
        let mut pdu = scene.seals(&scene.message("what was signed"));
        pdu.json["content"]["body"] = json!("what was not");
        scene.tries(std::slice::from_ref(&pdu)).await.ok();
        let seen = scene.alice.event(&scene.room, &pdu.id).await.ok();
        assert_eq!(seen["content"], json!({}), "in {version}");
    }
}

/// What the rules forbid is answered like any other event, and nobody sees it: RECV-02, RECV-03.
#[tokio::test]
async fn what_the_rules_forbid_is_stored_and_not_shown() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        peer,
        carol,
        room,
        alice,
        ..
    } = &scene;
    let held = peer.room(room);
    let state = |sender: &str, kind: &str, key: &str, content: Value| {
        scene.seals(&held.draft(sender, kind, Some(key), &content))
    };
    let (dave, first) = (peer.user("dave"), held.heads()[0].clone());
    let mut doubled = scene.message("doubled");
    let permits = doubled["auth_events"].as_array().expect("permits").clone();
    doubled["auth_events"] = permits.iter().chain(&permits).take(4).cloned().collect();
    let mut unrelated = scene.message("unrelated");
    unrelated["auth_events"] = held.named([first.as_str()]);
    let mut none = scene.message("no permits");
    none["auth_events"] = json!([]);
    let lies = [
        (
            "power for oneself",
            state(
                carol,
                "m.room.power_levels",
                "",
                json!({"users": {carol: 100}}),
            ),
        ),
        (
            "a name without power",
            state(carol, "m.room.name", "", json!({"name": "mine"})),
        ),
        (
            "a ban without power",
            state(
                carol,
                "m.room.member",
                &alice.id,
                json!({"membership": "ban"}),
            ),
        ),
        (
            "a message of somebody who is not there",
            scene.seals(&held.draft(&dave, "m.room.message", None, &json!({"body": "?"}))),
        ),
        (
            "another create event",
            state(
                carol,
                "m.room.create",
                "",
                json!({"room_version": "10", "creator": carol}),
            ),
        ),
        (
            "somebody else's state key",
            state(carol, "org.example.state", &alice.id, json!({})),
        ),
        (
            "an invented membership",
            state(carol, "m.room.member", carol, json!({"membership": "king"})),
        ),
        ("permits twice", scene.seals(&doubled)),
        ("other permits", scene.seals(&unrelated)),
        ("without permits", scene.seals(&none)),
    ];
    for (lie, pdu) in lies {
        let answer = scene.tries(std::slice::from_ref(&pdu)).await;
        assert_eq!(
            answer.of_pdu(&pdu),
            Some(None),
            "{lie}: {}",
            answer.summary()
        );
        assert!(!scene.sees(&pdu).await, "{lie}");
        // What builds upon it is no worse for that.
        let mut next = scene.message("upon it");
        next["prev_events"] = held.named([pdu.id.as_str()]);
        let next = scene.seals(&next);
        scene.tries(std::slice::from_ref(&next)).await.ok();
        assert!(scene.sees(&next).await, "{lie}");
    }
    let levels = alice.state(room, "m.room.power_levels", "").await.ok();
    assert_eq!(levels["users"].get(carol), None);
    let create = alice.state(room, "m.room.create", "").await.ok();
    assert_ne!(create["creator"], json!(carol));
}

#[tokio::test]
async fn an_event_of_a_third_server_is_taken_if_that_server_signed_it() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let third = scene.machine.peer().await;
    let dave = third.user("dave");
    third.joins(&scene.server, &scene.room, &dave).await;
    let his = third.says(&scene.room, &dave, "passed on");
    scene.tries(std::slice::from_ref(&his)).await.ok();
    assert!(scene.sees(&his).await);
}

#[tokio::test]
async fn what_carries_the_id_of_another_room_stays_out_of_both() {
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
    let private = alice.creates_room().await;
    let other = alice.creates_room().public().await;
    peer.joins(server, &other, carol).await;
    // Parents and permits of one room, the name of the other.
    let mut stray = scene.message("stray");
    stray["room_id"] = json!(other.id);
    let stray = scene.seals(&stray);
    let mut intruder = scene.message("intruder");
    intruder["room_id"] = json!(private.id);
    let intruder = scene.seals(&intruder);
    let mut nowhere = scene.message("nowhere");
    nowhere["room_id"] = json!("!nowhere:nowhere.example");
    let nowhere = scene.seals(&nowhere);
    scene
        .tries(&[stray.clone(), intruder.clone(), nowhere])
        .await
        .ok();
    let honest = peer.says(&other, carol, "honestly");
    peer.sends(server, std::slice::from_ref(&honest)).await.ok();
    alice.syncs_until(&other, &honest.id).await;
    for pdu in [&stray, &intruder] {
        for place in [room, &other, &private] {
            assert_eq!(alice.event(place, &pdu.id).await.status, 404);
        }
    }
}

/// Room version 5, "Signing key validity period". A third server's events, as the peer gives them away.
#[tokio::test]
async fn the_age_of_a_key_counts_from_room_version_5_on() {
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
    for (version, believed) in [("4", true), ("5", false), ("11", false)] {
        let third = machine.peer().await;
        let teller = third.clone();
        third.answers("key", move |_| {
            Reply::ok(teller.key_document(now_ms() - HOUR_MS))
        });
        let dave = third.user("dave");
        let room = peer.creates_room(carol, version, "public");
        let held = peer.room(&room);
        let content = json!({"membership": "join"});
        let join = held.draft(&dave, "m.room.member", Some(&dave), &content);
        let join = Pdu::seal(held.version(), &join, third.key());
        peer.adds(&room, &join);
        alice.joins_via(&room, peer.name()).await.ok();
        let seen = alice.state(&room, "m.room.member", &dave).await.status == 200;
        assert_eq!(seen, believed, "in {version}");
        let honest = peer.says(&room, carol, "honestly");
        peer.sends(server, std::slice::from_ref(&honest)).await.ok();
        alice.syncs_until(&room, &honest.id).await;
    }
}

/// In every room version, a retired key signs nothing newer than its end.
#[tokio::test]
async fn a_retired_key_signs_what_is_older_than_its_end() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        machine,
        alice,
        peer,
        carol,
        ..
    } = &scene;
    for version in ["4", "11"] {
        let third = machine.peer().await;
        let old = ServerKey::from_seed(third.key().server().to_owned(), "old", &rand::random());
        let (teller, public) = (third.clone(), old.public_key().to_base64());
        third.answers("key", move |_| {
            let mut document = teller.key_document(now_ms() + HOUR_MS);
            document["old_verify_keys"] =
                json!({"ed25519:old": {"key": public, "expired_ts": now_ms() - HOUR_MS}});
            document
                .as_object_mut()
                .expect("an object")
                .remove("signatures");
            let mut document = object(&document);
            teller.key().sign_object(&mut document);
            Reply::ok(value(&document))
        });
        let room = peer.creates_room(carol, version, "public");
        for (user, age_ms) in [("dave", 2 * HOUR_MS), ("erin", 0)] {
            let user = third.user(user);
            let held = peer.room(&room);
            let mut join = held.draft(
                &user,
                "m.room.member",
                Some(&user),
                &json!({"membership": "join"}),
            );
            join["origin_server_ts"] = json!(now_ms() - age_ms);
            peer.adds(&room, &Pdu::seal(held.version(), &join, &old));
        }
        alice.joins_via(&room, peer.name()).await.ok();
        alice
            .state(&room, "m.room.member", &third.user("dave"))
            .await
            .ok();
        assert_eq!(
            alice
                .state(&room, "m.room.member", &third.user("erin"))
                .await
                .status,
            404,
            "in {version}"
        );
    }
}

/// What claims to be a year old is taken; what claims to come from next year is signed by a key of which nobody knows
/// whether it will be valid then.
#[tokio::test]
async fn a_clock_that_is_a_year_off_harms_nobody() {
    for (version, ahead) in [("4", true), ("10", false)] {
        let Some(scene) = Scene::new(version).await else {
            return;
        };
        for (off_ms, taken) in [(-YEAR_MS, true), (YEAR_MS, ahead)] {
            let mut event = scene.message("when?");
            event["origin_server_ts"] = json!(now_ms() + off_ms);
            let pdu = scene.seals(&event);
            scene.tries(std::slice::from_ref(&pdu)).await.ok();
            assert_eq!(
                scene.sees(&pdu).await,
                taken,
                "in {version}, off by {off_ms}"
            );
        }
    }
}
