//! One of our servers and an honest server on a script: the ground on which the lies are told.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    federation::Neighbourhood,
    path::{join, v3},
    peer::{Pdu, Reply},
};

use super::scene::{Scene, server_and_peer};

/// Room versions that differ in the form of events, and in who must be believed.
const VERSIONS: [&str; 6] = ["1", "3", "5", "6", "10", "12"];

#[tokio::test]
async fn a_user_of_the_peer_joins_and_talks() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let carol = peer.user("carol");
    for version in VERSIONS {
        let room = alice.creates_room().public().version(version).await;
        peer.joins(&server, &room, &carol).await;
        let hers = peer.says(&room, &carol, "hello");
        let answer = peer.sends(&server, std::slice::from_ref(&hers)).await;
        assert_eq!(answer.of_pdu(&hers), Some(None), "in {version}");
        alice.syncs_until(&room, &hers.id).await;

        let said = alice.says(&room, "hello yourself").await;
        let seen = peer.receives("alice's message", |event| {
            (peer.room(&room).id_of(event) == said).then(|| event.clone())
        });
        assert_eq!(seen.await["content"]["body"], "hello yourself");
        let next = peer.says(&room, &carol, "and on");
        let answer = peer.sends(&server, std::slice::from_ref(&next)).await;
        assert_eq!(answer.of_pdu(&next), Some(None), "in {version}");
    }
}

#[tokio::test]
async fn a_local_user_joins_a_room_of_the_peer() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let carol = peer.user("carol");
    for version in VERSIONS {
        let room = peer.creates_room(&carol, version, "public");
        alice.joins_via(&room, peer.name()).await.ok();
        assert!(
            peer.room(&room)
                .current("m.room.member", &alice.id)
                .is_some()
        );
        let hers = peer.says(&room, &carol, "welcome");
        peer.sends(&server, std::slice::from_ref(&hers)).await.ok();
        alice.syncs_until(&room, &hers.id).await;
        let said = alice.says(&room, "thank you").await;
        peer.receives("alice's message", |event| {
            (peer.room(&room).id_of(event) == said).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_missed_is_fetched() {
    let Some(scene) = Scene::new("12").await else {
        return;
    };
    let Scene {
        server,
        alice,
        peer,
        carol,
        room,
        ..
    } = scene;
    let missed: Vec<_> = (0..5)
        .map(|n| peer.says(&room, &carol, &n.to_string()))
        .collect();
    let last = peer.says(&room, &carol, "the last");
    peer.sends(&server, std::slice::from_ref(&last)).await.ok();
    let seen = alice.syncs_until(&room, &last.id).await;
    let ids = seen.ids();
    let order: Vec<_> = missed
        .iter()
        .map(|pdu| ids.iter().position(|id| *id == pdu.id))
        .collect();
    assert!(
        order.is_sorted() && order.iter().all(Option::is_some),
        "{order:?}"
    );
}

#[tokio::test]
async fn a_user_of_the_peer_is_invited_and_invites() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let carol = peer.user("carol");
    let room = alice.creates_room().await;
    let invite = json!({"user_id": carol});
    alice.in_room(&room, "invite", &invite).await.ok();
    assert_eq!(peer.asked("invite").len(), 1);
    peer.joins(&server, &room, &carol).await;

    let start = alice.syncs().await.next_batch();
    let theirs = peer.creates_room(&carol, "10", "invite");
    let content = json!({"membership": "invite"});
    let draft = peer
        .room(&theirs)
        .draft(&carol, "m.room.member", Some(&alice.id), &content);
    let invite = peer.seals(&theirs, &draft);
    let signed = peer.sends_invite(&server, &theirs, &invite).await.ok();
    let signers = signed["event"]["signatures"]
        .as_object()
        .expect("signatures");
    assert_eq!(signers.len(), 2, "{signed}");
    alice
        .syncs_when(&start, |sync| sync.invited(&theirs).cloned())
        .await;
    peer.adds(&theirs, &invite);
    alice.joins(&theirs).await.ok();
}

#[tokio::test]
async fn requests_are_signed_or_refused() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let uri = join("/_matrix/federation/v1", &["event", "$nothing"]);
    let own = peer.header(server.name(), "GET", &uri, None);
    server
        .get(uri.as_str())
        .authorization(own)
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(
        peer.asks(&server, Method::GET, &uri, None).await.status,
        404
    );
}

/// Both sides change the room at the same time, in ways that have nothing to do with each other.
#[tokio::test]
async fn events_that_were_made_side_by_side_both_hold() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let [carol, dave] = [peer.user("carol"), peer.user("dave")];
    for version in VERSIONS {
        let room = alice.creates_room().public().version(version).await;
        peer.joins(&server, &room, &carol).await;
        let content = json!({"membership": "join"});
        let held = peer.room(&room);
        let join = held.draft(&dave, "m.room.member", Some(&dave), &content);
        let join = peer.seals(&room, &join);
        let mut levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        levels["users"][&carol] = json!(50);
        let set = alice.sets_state(&room, "m.room.power_levels", "", &levels);
        set.await.ok();
        let answer = peer.sends(&server, std::slice::from_ref(&join)).await;
        assert_eq!(answer.of_pdu(&join), Some(None), "in {version}");
        let member = alice.state(&room, "m.room.member", &dave).await.ok();
        assert_eq!(member["membership"], "join", "in {version}");
        let now = alice.state(&room, "m.room.power_levels", "").await.ok();
        assert_eq!(now["users"][&carol], 50, "in {version}");
    }
}

/// Servers that know the first version of the API only.
#[tokio::test]
async fn joins_and_leaves_by_the_first_version() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let carol = peer.user("carol");
    for version in ["1", "10", "12"] {
        let room = alice.creates_room().public().version(version).await;
        let (rules, draft) = peer.drafts(&server, "join", &room, &carol).await;
        let join = Pdu::seal(rules, &draft, peer.key());
        let sent = peer.sends_member_v1(&server, "join", &room, &join);
        let sent = sent.await.ok();
        assert_eq!(sent[0], 200);
        let creates = |list: &Value| {
            let events = list.as_array().into_iter().flatten();
            events
                .filter(|event| event["type"] == "m.room.create")
                .count()
        };
        assert_eq!(creates(&sent[1]["state"]), 1, "{sent}");
        assert_eq!(sent[1]["event"]["content"]["membership"], "join");
        let member = alice.state(&room, "m.room.member", &carol).await.ok();
        assert_eq!(member["membership"], "join", "in {version}");

        let (rules, draft) = peer.drafts(&server, "leave", &room, &carol).await;
        let leave = Pdu::seal(rules, &draft, peer.key());
        peer.sends_member_v1(&server, "join", &room, &leave)
            .await
            .refused(400, "M_INVALID_PARAM");
        let left = peer.sends_member_v1(&server, "leave", &room, &leave);
        assert_eq!(left.await.ok(), json!([200, {}]));
        let member = alice.state(&room, "m.room.member", &carol).await.ok();
        assert_eq!(member["membership"], "leave", "in {version}");
    }
}

/// `federation.allow_servers` and `deny_servers`, in both directions.
#[tokio::test]
async fn only_servers_that_are_allowed_are_talked_to() {
    let machine = Neighbourhood::new();
    let flags = ["--allow-server", "local*", "--deny-server", "localhost.?"];
    let Some(server) = machine.server_with(&flags).await else {
        return;
    };
    let alice = server.user("alice").await;
    let [friend, stranger] = [machine.peer_at("localhost").await, machine.peer().await];
    let (carol, eve) = (friend.user("carol"), stranger.user("eve"));
    let room = alice.creates_room().public().await;
    friend.joins(&server, &room, &carol).await;
    stranger
        .makes(&server, "join", &room, &eve)
        .await
        .refused(403, "M_FORBIDDEN");

    let theirs = friend.creates_room(&carol, "10", "public");
    alice.joins_via(&theirs, friend.name()).await.ok();
    let closed = stranger.creates_room(&eve, "10", "public");
    let joining = alice.post(v3(&["join", &closed.id]), &json!({}));
    joining
        .query("via", stranger.name())
        .await
        .refused(403, "M_FORBIDDEN");
    let invite = alice.in_room(&room, "invite", &json!({"user_id": eve}));
    invite.await.refused(403, "M_FORBIDDEN");
    for operation in ["make_join", "invite", "key"] {
        assert!(stranger.asked(operation).is_empty(), "{operation}");
    }
    let said = alice.says(&room, "hello").await;
    friend
        .receives("alice's message", |event| {
            (friend.room(&room).id_of(event) == said).then_some(())
        })
        .await;
}

/// What comes in is counted for the operator.
#[tokio::test]
async fn transactions_that_come_in_are_measured() {
    let Some(scene) = Scene::new("12").await else {
        return;
    };
    let Scene {
        server,
        peer,
        carol,
        room,
        ..
    } = scene;
    let measured = async |name: &str| -> f64 {
        let text = server.get("/metrics").await.bytes;
        let text = String::from_utf8(text).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim().parse().ok());
        number.unwrap_or_else(|| panic!("{name} is missing in {text}"))
    };
    for count in [2, 1] {
        let pdus: Vec<Pdu> = (0..count)
            .map(|n| peer.says(&room, &carol, &n.to_string()))
            .collect();
        peer.sends(&server, &pdus).await.ok();
    }
    for (name, expected) in [
        ("rookery_federation_transactions_received_total ", 2.0),
        ("rookery_federation_events_received_total ", 3.0),
        ("rookery_federation_receive_seconds_count ", 2.0),
    ] {
        let found = measured(name).await;
        assert!((found - expected).abs() < 0.1, "{name}{found}");
    }
}

#[tokio::test]
async fn what_another_server_refuses_is_refused_in_its_words() {
    let Some((_machine, server, peer)) = server_and_peer().await else {
        return;
    };
    let alice = server.user("alice").await;
    let carol = peer.user("carol");
    let theirs = peer.creates_room(&carol, "11", "public");
    let ours = alice.creates_room().await;
    let invite = json!({"user_id": carol});
    for (status, errcode, expected) in [
        (400, "M_TEST_ERROR_CODE", (400, "M_TEST_ERROR_CODE")),
        (403, "ORG.EXAMPLE_CLOSED", (403, "ORG.EXAMPLE_CLOSED")),
        (403, "no code", (403, "M_FORBIDDEN")),
        (403, "M_FORBIDDEN", (403, "M_FORBIDDEN")),
        // What clients would take for a word about their own session, or no word of a server at all.
        (403, "M_USER_LOCKED", (403, "M_FORBIDDEN")),
        (401, "M_UNKNOWN_TOKEN", (502, "M_UNKNOWN")),
        (400, "M_UNRECOGNIZED", (502, "M_UNKNOWN")),
        (400, "a code\nof two lines", (502, "M_UNKNOWN")),
    ] {
        for operation in ["make_join", "make_knock", "invite"] {
            peer.answers(operation, move |_| Reply::refused(status, errcode));
        }
        for refused in [
            alice.joins_via(&theirs, peer.name()).await,
            alice
                .post(v3(&["knock", &theirs.id]), &json!({}))
                .query("via", peer.name())
                .await,
            alice.in_room(&ours, "invite", &invite).await,
        ] {
            let body = refused.refused(expected.0, expected.1);
            let sentence = body["error"].as_str().expect("a sentence");
            assert!(sentence.contains("The peer refuses"), "{body}");
        }
    }
    peer.answers("make_join", |_| {
        Reply::ok(json!({"room_version": "org.example.new", "event": {}}))
    });
    let joining = alice.joins_via(&theirs, peer.name()).await;
    let body = joining.refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
    assert_eq!(body["room_version"], "org.example.new");
    peer.answers("publicRooms", |_| Reply::refused(404, "M_NOT_FOUND"));
    let list = alice.get("/_matrix/client/v3/publicRooms");
    let list = list.query("server", peer.name()).await;
    list.refused(404, "M_NOT_FOUND");
    peer.forgets_scripts();
    alice.joins_via(&theirs, peer.name()).await.ok();
}

/// FED-01: an address is no name that TLS could be asked for.
#[tokio::test]
async fn a_connection_is_opened_for_the_name_of_a_server_if_it_has_one() {
    let machine = Neighbourhood::new();
    let Some(server) = machine.server().await else {
        return;
    };
    for (host, sni) in [("127.0.0.1", None), ("localhost", Some("localhost"))] {
        let peer = machine.peer_at(host).await;
        let answer = peer.gets(&server, &["event", "$none"], "").await;
        answer.refused(404, "M_NOT_FOUND");
        let asked = peer.asked("key");
        assert_eq!(asked[0].sni.as_deref(), sni, "{host}");
    }
}
