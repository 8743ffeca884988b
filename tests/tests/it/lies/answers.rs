//! What the peer answers when it is asked for what is missing. RECV-06 to RECV-10, FREAD-06.

use serde_json::{Value, json};
use tests::{
    eventually::eventually,
    peer::{Ask, Pdu, Reply},
};

use super::Scene;

/// How many questions one event may lead to.
const QUESTIONS_MAX: usize = 120;

/// The questions by which a server learns what an event builds on.
const QUESTIONS: [&str; 6] = [
    "get_missing_events",
    "state_ids",
    "state",
    "event",
    "event_auth",
    "backfill",
];

fn questions(scene: &Scene) -> Vec<Ask> {
    QUESTIONS
        .iter()
        .flat_map(|operation| scene.peer.asked(operation))
        .collect()
}

/// Messages of which each builds on the one before; nobody has them.
fn chain(scene: &Scene, length: usize) -> Vec<Pdu> {
    let say = |n: usize| scene.peer.says(&scene.room, &scene.carol, &n.to_string());
    (0..length).map(say).collect()
}

/// A message upon parents that nobody has.
fn orphan(scene: &Scene) -> Pdu {
    let mut event = scene.message("orphan");
    event["prev_events"] = json!(["$parent_that_is_not_there"]);
    scene.seals(&event)
}

/// The peer is asked, and says so in every way; the orphan stays out, and the room goes on.
#[tokio::test]
async fn an_event_whose_parents_cannot_be_had_stays_out() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let endless = || Reply::Endless(b"{\"a\":\"".to_vec(), vec![b'a'; 65_536]);
    type Answer = fn() -> Reply;
    let answers: [(&str, Answer); 8] = [
        ("not found", || Reply::refused(404, "M_NOT_FOUND")),
        ("forbidden", || Reply::refused(403, "M_FORBIDDEN")),
        ("empty", || Reply::ok(json!({}))),
        ("no JSON", || Reply::Bytes(200, b"{".to_vec())),
        ("nested", || Reply::Bytes(200, vec![b'['; 100_000])),
        ("lists of nothing", || {
            Reply::ok(
                json!({"events": [1, null, {}, []], "pdus": [1, {}], "auth_chain": ["a"], "pdu_ids": [1], "auth_chain_ids": [{}]}),
            )
        }),
        ("keys twice", || {
            Reply::Bytes(200, br#"{"events":[],"events":[]}"#.to_vec())
        }),
        ("an end", || Reply::HangUp),
    ];
    for (lie, answer) in answers {
        scene.peer.forgets_scripts();
        scene
            .peer
            .script(move |ask| QUESTIONS.contains(&ask.operation()).then(answer));
        let before = questions(&scene).len();
        let orphan = orphan(&scene);
        scene
            .peer
            .sends(&scene.server, std::slice::from_ref(&orphan))
            .await
            .ok();
        eventually("a question", async || {
            (questions(&scene).len() > before).then_some(())
        })
        .await;
        scene.goes_on().await;
        assert!(!scene.sees(&orphan).await, "{lie}");
        assert!(questions(&scene).len() - before < QUESTIONS_MAX, "{lie}");
    }
    let before = scene.server.memory_kib();
    scene
        .peer
        .script(move |ask| (ask.operation() == "get_missing_events").then(endless));
    let orphan = orphan(&scene);
    scene
        .peer
        .sends(&scene.server, std::slice::from_ref(&orphan))
        .await
        .ok();
    scene.goes_on().await;
    assert!(!scene.sees(&orphan).await);
    let grown = scene.server.memory_kib().saturating_sub(before);
    assert!(grown < 200 * 1024, "{grown} KiB more");
}

/// The room, and all others, go on while the server waits for an answer.
#[tokio::test]
async fn a_peer_that_never_answers_holds_up_nobody() {
    for reply in [|| Reply::Silence, || Reply::Trickle] {
        let Some(scene) = Scene::new("10").await else {
            return;
        };
        scene
            .peer
            .script(move |ask| QUESTIONS.contains(&ask.operation()).then(reply));
        let orphan = orphan(&scene);
        let answer = scene
            .peer
            .sends(&scene.server, std::slice::from_ref(&orphan));
        let answering = tokio::spawn(answer.into_future());
        eventually("a question", async || questions(&scene).pop()).await;
        scene.talks().await;
        let other = scene.alice.creates_room().public().await;
        scene.peer.joins(&scene.server, &other, &scene.carol).await;
        let honest = scene.peer.says(&other, &scene.carol, "elsewhere");
        scene
            .peer
            .sends(&scene.server, std::slice::from_ref(&honest))
            .await
            .ok();
        scene.alice.syncs_until(&other, &honest.id).await;
        answering.await.expect("an answer").ok();
        scene.goes_on().await;
    }
}

/// RECV-09: what was dropped can come again with its parents.
#[tokio::test]
async fn an_event_is_taken_when_its_parents_can_be_had() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    scene.peer.script(|ask| {
        QUESTIONS
            .contains(&ask.operation())
            .then(|| Reply::refused(404, "M_NOT_FOUND"))
    });
    let missing = scene.seals(&scene.message("missing"));
    let held = scene.peer.room(&scene.room);
    let mut event = scene.message("late");
    event["prev_events"] = held.named([missing.id.as_str()]);
    let late = scene.seals(&event);
    scene.tries(std::slice::from_ref(&late)).await.ok();
    eventually("a question", async || questions(&scene).pop()).await;
    assert!(!scene.sees(&late).await);
    scene.peer.forgets_scripts();
    scene
        .peer
        .sends(&scene.server, &[missing.clone(), late.clone()])
        .await
        .ok();
    scene.alice.syncs_until(&scene.room, &late.id).await;
    assert!(scene.sees(&missing).await);
}

/// RECV-07: a long gap is not walked to its end; the state is fetched instead.
#[tokio::test]
async fn a_gap_that_is_too_long_is_not_walked() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let gap = chain(&scene, 600);
    let last = gap.last().expect("the last");
    scene
        .peer
        .sends(&scene.server, std::slice::from_ref(last))
        .await
        .ok();
    scene.alice.syncs_until(&scene.room, &last.id).await;
    assert!(!scene.sees(&gap[0]).await, "all of it was walked");
    let asked = questions(&scene).len();
    assert!(asked < QUESTIONS_MAX, "{asked} questions");
    scene.goes_on().await;
}

/// Whatever is asked, the answer has new parents that nobody has, and no state is to be had.
#[tokio::test]
async fn an_endless_chain_of_parents_ends() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let gap = chain(&scene, 1_000);
    let last = gap.last().expect("the last").clone();
    let without_state = ["state", "state_ids"];
    scene.peer.script(move |ask| {
        without_state
            .contains(&ask.operation())
            .then(|| Reply::refused(404, "M_NOT_FOUND"))
    });
    scene
        .peer
        .sends(&scene.server, std::slice::from_ref(&last))
        .await
        .ok();
    eventually("questions", async || {
        (!questions(&scene).is_empty()).then_some(())
    })
    .await;
    scene.talks().await;
    let settled = async || {
        let before = questions(&scene).len();
        scene.talks().await;
        (questions(&scene).len() == before && before > 1).then_some(())
    };
    eventually("the end of the questions", settled).await;
    let asked = questions(&scene).len();
    assert!(asked < QUESTIONS_MAX, "{asked} questions");
    assert!(!scene.sees(&gap[0]).await);
}

/// Each event of the chain is permitted by another one that nobody has seen.
#[tokio::test]
async fn an_endless_chain_of_permits_ends() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        peer, carol, room, ..
    } = &scene;
    // Carol changes her name again and again; every change is permitted by the one before.
    let held = peer.room(room);
    let mut permit = held
        .current("m.room.member", carol)
        .expect("her join")
        .to_owned();
    let own = permit.clone();
    let mut names = Vec::new();
    for n in 0..1_000 {
        let content = json!({"membership": "join", "displayname": n.to_string()});
        let mut event = held.draft(carol, "m.room.member", Some(carol), &content);
        replace_permit(&mut event, &own, &permit);
        let pdu = scene.seals(&event);
        peer.keeps(room, &pdu);
        permit.clone_from(&pdu.id);
        names.push(pdu);
    }
    let mut last = scene.message("permitted by whom?");
    replace_permit(&mut last, &own, &permit);
    let last = scene.seals(&last);
    // A chain that ends too early: what permits its oldest event is only to be had by asking again.
    let known: Vec<Pdu> = names.clone();
    peer.answers("event_auth", move |ask| {
        let at = known
            .iter()
            .position(|pdu| pdu.id == ask.argument(1))
            .unwrap_or(known.len());
        let part: Vec<&Value> = known[at.saturating_sub(3)..at]
            .iter()
            .map(|pdu| &pdu.json)
            .collect();
        Reply::ok(json!({"auth_chain": part}))
    });
    peer.sends(&scene.server, std::slice::from_ref(&last))
        .await
        .ok();
    eventually("a question", async || questions(&scene).pop()).await;
    scene.goes_on().await;
    assert!(!scene.sees(&last).await);
    let asked = questions(&scene).len();
    assert!(asked < QUESTIONS_MAX, "{asked} questions");
}

fn replace_permit(event: &mut Value, old: &str, new: &str) {
    for permit in event["auth_events"].as_array_mut().expect("permits") {
        if permit == old {
            *permit = json!(new);
        }
    }
}

/// A state that somebody makes up to get a forged event through.
#[tokio::test]
async fn a_forged_state_changes_nothing() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene {
        alice,
        peer,
        carol,
        room,
        ..
    } = &scene;
    let held = peer.room(room);
    // In this state Carol would have all power, by an event that Alice never signed.
    let levels = json!({"users": {carol: 100}});
    let forged = scene.seals(&held.draft(&alice.id, "m.room.power_levels", Some(""), &levels));
    // And Alice would be banned, by an event that the peer may sign, but that the rules forbid.
    let banned = json!({"membership": "ban"});
    let banned = scene.seals(&held.draft(carol, "m.room.member", Some(&alice.id), &banned));
    let mut name = held.draft(carol, "m.room.name", Some(""), &json!({"name": "mine"}));
    name["prev_events"] = json!(["$parent_that_is_not_there"]);
    let name = scene.seals(&name);
    for pdu in [&forged, &banned] {
        peer.keeps(room, pdu);
    }
    let mut state: Vec<Value> = held.state();
    state.retain(|event| {
        event["type"] != "m.room.power_levels" && event["state_key"] != json!(alice.id)
    });
    state.extend([forged.json.clone(), banned.json.clone()]);
    let chain = held.auth_chain(&state);
    let ids = |events: &[Value]| -> Vec<String> {
        events.iter().map(|event| held.id_of(event)).collect()
    };
    let whole = json!({"pdus": state, "auth_chain": chain});
    let named = json!({"pdu_ids": ids(&state), "auth_chain_ids": ids(&chain)});
    peer.answers("get_missing_events", |_| Reply::ok(json!({"events": []})));
    peer.answers("state", move |_| Reply::ok(whole.clone()));
    peer.answers("state_ids", move |_| Reply::ok(named.clone()));
    peer.sends(&scene.server, std::slice::from_ref(&name))
        .await
        .ok();
    eventually("a question", async || questions(&scene).pop()).await;
    scene.goes_on().await;
    assert!(!scene.sees(&name).await);
    let levels = alice.state(room, "m.room.power_levels", "").await.ok();
    assert_eq!(levels["users"].get(carol), None);
    let own = alice.state(room, "m.room.member", &alice.id).await.ok();
    assert_eq!(own["membership"], "join");
    assert_eq!(alice.state(room, "m.room.name", "").await.status, 404);
}

/// Another room's events are no answer: FREAD-06.
#[tokio::test]
async fn answers_about_another_room_are_not_believed() {
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
    let other = alice.creates_room().public().await;
    peer.joins(server, &other, carol).await;
    let strangers: Vec<Value> = (0..3)
        .map(|n| peer.says(&other, carol, &n.to_string()).json)
        .collect();
    let state = peer.room(&other).state();
    let chain = peer.room(&other).auth_chain(&state);
    peer.script(move |ask| match ask.operation() {
        "get_missing_events" => Some(Reply::ok(json!({"events": strangers}))),
        "state" => Some(Reply::ok(json!({"pdus": state, "auth_chain": chain}))),
        "event_auth" => Some(Reply::ok(json!({"auth_chain": chain}))),
        "event" => Some(Reply::ok(json!({"pdus": [strangers[0]]}))),
        "state_ids" => Some(Reply::refused(404, "M_NOT_FOUND")),
        _ => None,
    });
    let orphan = orphan(&scene);
    peer.sends(server, std::slice::from_ref(&orphan)).await.ok();
    eventually("a question", async || questions(&scene).pop()).await;
    scene.goes_on().await;
    assert!(!scene.sees(&orphan).await);
    let create = alice.state(room, "m.room.create", "").await;
    create.ok();
}
