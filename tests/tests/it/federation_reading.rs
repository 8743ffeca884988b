//! What other servers read of a room: server-server API, "Retrieving events", "Soft failure".

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{path::v3, peer::Pdu};

use super::scene::Scene;

impl Scene {
    /// Waits until the peer has an event of Alice's.
    async fn has(&self, id: &str) {
        let found = |pdu: &Value| (self.peer.room(&self.room).id_of(pdu) == id).then_some(());
        self.peer.receives("an event of Alice's", found).await;
    }

    /// A state event of Carol's, and a message, that she sends although she is banned by then.
    async fn soft_fails(&self) -> (Pdu, Pdu) {
        let Self {
            server,
            alice,
            peer,
            carol,
            room,
            ..
        } = self;
        let name = json!({"membership": "join", "displayname": "Carol the Great"});
        let name = peer
            .room(room)
            .draft(carol, "m.room.member", Some(carol), &name);
        let (name, message) = (
            peer.seals(room, &name),
            peer.seals(room, &peer.message(room, carol, "too late")),
        );
        let ban = json!({"user_id": carol});
        alice.in_room(room, "ban", &ban).await.ok();
        for pdu in [&name, &message] {
            let answer = peer.sends(server, std::slice::from_ref(pdu)).await;
            assert_eq!(answer.of_pdu(pdu), Some(None));
            assert_ne!(alice.event(room, &pdu.id).await.status, 200);
            peer.keeps(room, pdu);
        }
        (name, message)
    }

    /// The IDs of the events in an answer to the peer.
    async fn ids(&self, segments: &[&str], query: &str, list: &str) -> BTreeSet<String> {
        let answer = self.peer.gets(&self.server, segments, query).await.ok();
        let events = answer[list].as_array().expect("a list").iter();
        let room = self.peer.room(&self.room);
        let ids = events.map(|event| match event {
            Value::String(id) => id.clone(),
            event => room.id_of(event),
        });
        ids.collect()
    }
}

fn event_id(id: &str) -> String {
    format!("event_id={}", id.replace('$', "%24"))
}

/// RECV-05, FREAD-10.
#[tokio::test]
async fn what_was_soft_failed_is_given_to_who_asks_for_it_and_to_nobody_else() {
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
    let cleo = &peer.user("cleo");
    peer.joins(server, room, cleo).await;
    let (name, message) = scene.soft_fails().await;
    for pdu in [&name, &message] {
        let answer = peer.gets(server, &["event", &pdu.id], "").await.ok();
        let given = &answer["pdus"][0];
        assert_eq!(peer.room(room).id_of(given), pdu.id, "{answer}");
    }
    let said = alice.says(room, "without them").await;
    scene.has(&said).await;
    let query = format!("v={}&limit=100", said.replace('$', "%24"));
    let back = scene.ids(&["backfill", &room.id], &query, "pdus").await;
    assert!(back.contains(&said));
    assert!(!back.contains(&message.id) && !back.contains(&name.id));
    for operation in ["state", "state_ids"] {
        let list = if operation == "state" {
            "pdus"
        } else {
            "pdu_ids"
        };
        let state = scene
            .ids(&[operation, &room.id], &event_id(&said), list)
            .await;
        assert!(!state.contains(&name.id), "{operation}");
    }

    // An event that brings both branches together is accepted, and leads to them.
    let mut merge = peer.message(room, cleo, "upon both");
    let knows = peer.room(room);
    merge["prev_events"] = knows.named([said.as_str(), message.id.as_str()]);
    let merge = peer.seals(room, &merge);
    peer.sends(server, std::slice::from_ref(&merge)).await.ok();
    alice.syncs_until(room, &merge.id).await;
    peer.adds(room, &merge);
    let query = format!("v={}&limit=100", merge.id.replace('$', "%24"));
    let back = scene.ids(&["backfill", &room.id], &query, "pdus").await;
    assert!(back.contains(&message.id) && back.contains(&said));
    let missing = json!({"earliest_events": [], "latest_events": [merge.id], "limit": 20});
    let uri = tests::path::join("/_matrix/federation/v1", &["get_missing_events", &room.id]);
    let answer = peer
        .asks(server, reqwest::Method::POST, &uri, Some(&missing))
        .await
        .ok();
    let missing = answer["events"].as_array().expect("events").iter();
    let missing: Vec<String> = missing.map(|event| knows.id_of(event)).collect();
    assert!(missing.contains(&message.id), "{missing:?}");
    // The ban holds after it.
    let member = alice.state(room, "m.room.member", &scene.carol).await.ok();
    assert_eq!(member["membership"], "ban");
    let after = alice.says(room, "on").await;
    let state = scene
        .ids(&["state_ids", &room.id], &event_id(&after), "pdu_ids")
        .await;
    assert!(!state.contains(&name.id));
}

/// FREAD-10: nor what the rules refuse.
#[tokio::test]
async fn what_was_rejected_is_given_to_nobody() {
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
    let topic = json!({"topic": "taken over"});
    let topic = peer
        .room(room)
        .draft(carol, "m.room.topic", Some(""), &topic);
    let topic = peer.seals(room, &topic);
    peer.sends(server, std::slice::from_ref(&topic)).await.ok();
    let said = alice.says(room, "hers still").await;
    scene.has(&said).await;
    peer.gets(server, &["event", &topic.id], "")
        .await
        .refused(404, "M_NOT_FOUND");
    let query = event_id(&said);
    let state = scene.ids(&["state_ids", &room.id], &query, "pdu_ids").await;
    assert!(!state.is_empty() && !state.contains(&topic.id));
    for operation in ["state", "state_ids"] {
        let query = event_id(&topic.id);
        let answer = peer.gets(server, &[operation, &room.id], &query).await;
        answer.refused(404, "M_NOT_FOUND");
    }
}

/// FREAD-02, FREAD-03.
#[tokio::test]
async fn states_and_auth_chains_are_exactly_those_of_the_event() {
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
    let before = alice.says(room, "before").await;
    let topic = json!({"topic": "news"});
    let topic = alice
        .put(v3(&["rooms", &room.id, "state", "m.room.topic"]), &topic)
        .await
        .ok();
    let topic = topic["event_id"].as_str().expect("an ID").to_owned();
    let after = alice.says(room, "after").await;
    scene.has(&after).await;
    let knows = peer.room(room);

    let state = |id: String| {
        let scene = &scene;
        async move {
            let query = event_id(&id);
            let segments = ["state_ids", &scene.room.id];
            let ids = scene.ids(&segments, &query, "pdu_ids").await;
            let chain = scene.ids(&segments, &query, "auth_chain_ids").await;
            let segments = ["state", &scene.room.id];
            assert_eq!(scene.ids(&segments, &query, "pdus").await, ids);
            assert_eq!(scene.ids(&segments, &query, "auth_chain").await, chain);
            (ids, chain)
        }
    };
    // The state before an event, which a state event is not part of.
    let (first, _) = state(before).await;
    assert_eq!(state(topic.clone()).await.0, first);
    let (then, chain) = state(after.clone()).await;
    let mut with_topic = first.clone();
    with_topic.insert(topic);
    assert_eq!(then, with_topic);
    // All that permits the state, with those events of it that permit others.
    let mut permits: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = then.iter().cloned().collect();
    while let Some(id) = open.pop() {
        let event = knows.event(&id).expect("a known event");
        for permit in event["auth_events"].as_array().into_iter().flatten() {
            let permit = permit.as_str().unwrap_or_default().to_owned();
            if permits.insert(permit.clone()) {
                open.push(permit);
            }
        }
    }
    assert_eq!(chain, permits);

    let said = knows.event(&after).expect("a known event").clone();
    let expected: Vec<Value> = knows.auth_chain(&[said]);
    let expected: BTreeSet<String> = expected.iter().map(|event| knows.id_of(event)).collect();
    let segments = ["event_auth", &room.id, &after];
    assert_eq!(scene.ids(&segments, "", "auth_chain").await, expected);

    for operation in ["state", "state_ids"] {
        let answer = peer.gets(server, &[operation, &room.id], "").await;
        answer.refused(400, "M_MISSING_PARAM");
        let query = event_id("$none");
        let answer = peer.gets(server, &[operation, &room.id], &query).await;
        answer.refused(404, "M_NOT_FOUND");
    }
    // One that is only known as what permits others has no state.
    let other = knows.draft(
        carol,
        "m.room.member",
        Some(carol),
        &json!({"membership": "join", "displayname": "C"}),
    );
    let mut other = other;
    other["prev_events"] = json!(["$nobody-has-this-one"]);
    let other = peer.seals(room, &other);
    peer.keeps(room, &other);
    let mut message = peer.message(room, carol, "permitted by it");
    let mut permits: Vec<Value> = message["auth_events"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let hers = knows.current("m.room.member", carol).unwrap_or_default();
    permits.retain(|permit| permit != hers);
    permits.push(json!(other.id));
    message["auth_events"] = permits.into();
    let message = peer.seals(room, &message);
    peer.sends(server, std::slice::from_ref(&message))
        .await
        .ok();
    tests::eventually::eventually("what permits it", async || {
        let answer = peer.gets(server, &["event", &other.id], "").await;
        (answer.status == 200).then_some(())
    })
    .await;
    let query = event_id(&other.id);
    let answer = peer.gets(server, &["state_ids", &room.id], &query).await;
    answer.refused(404, "M_NOT_FOUND");
}

/// FREAD-07.
#[tokio::test]
async fn a_query_that_is_not_known_is_not_found() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let answer = scene.peer.gets(&scene.server, &["query", "weather"], "");
    answer.await.refused(404, "M_NOT_FOUND");
}

/// RECV-06.
#[tokio::test]
async fn what_is_missing_is_asked_for_from_what_is_known_to_what_came() {
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
    let said = alice.says(room, "the end of what is known").await;
    scene.has(&said).await;
    let missed = peer.says(room, carol, "missed");
    let came = peer.says(room, carol, "came");
    peer.sends(server, std::slice::from_ref(&came)).await.ok();
    alice.syncs_until(room, &came.id).await;
    let asked = peer.asked("get_missing_events");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].body["earliest_events"], json!([said]));
    assert_eq!(asked[0].body["latest_events"], json!([came.id]));
    assert_eq!(alice.event(room, &missed.id).await.status, 200);
}

/// FED-12.
#[tokio::test]
async fn a_server_that_a_room_keeps_out_is_not_sent_an_invite() {
    let Some(scene) = Scene::new("10").await else {
        return;
    };
    let Scene { machine, alice, .. } = &scene;
    let peer = machine.peer_at("localhost").await;
    let room = alice.creates_room().await;
    let acl = json!({"allow": ["*"], "deny": ["localhost"]});
    let path = v3(&["rooms", &room.id, "state", "m.room.server_acl"]);
    alice.put(path, &acl).await.ok();
    let invite = json!({"user_id": peer.user("dora")});
    let answer = alice.in_room(&room, "invite", &invite).await;
    answer.refused(403, "M_FORBIDDEN");
    assert!(peer.asked("invite").is_empty());
}
