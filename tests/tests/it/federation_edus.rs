//! What passes between servers and is not kept: who types, who has read, and what the operator lets pass at all.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, eventually::eventually, federation::Neighbourhood, path::v3};

struct Two {
    _machine: Neighbourhood,
    here: TestServer,
    _there: TestServer,
    alice: User,
    bob: User,
    room: Room,
}

/// Alice and Bob of two servers, in one room.
async fn two() -> Option<Two> {
    let machine = Neighbourhood::new();
    let (here, there) = (machine.server().await?, machine.server().await?);
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().await;
    bob.joins_via(&room, alice.server_name()).await.ok();
    Some(Two {
        _machine: machine,
        here,
        _there: there,
        alice,
        bob,
        room,
    })
}

/// The content of the first ephemeral event of a type that somebody sees after a token and that is as it should be.
async fn sees(
    user: &User,
    since: &str,
    room: &Room,
    kind: &str,
    is_right: impl Fn(&Value) -> bool + Send + Sync,
) -> (Value, String) {
    user.syncs_when(since, |sync| {
        sync.of_room(room, "ephemeral", kind)
            .filter(|content| is_right(content))
            .cloned()
    })
    .await
}

#[tokio::test]
async fn typing_crosses_over_and_ends() {
    let Some(two) = two().await else { return };
    let (alice, bob, room) = (&two.alice, &two.bob, &two.room);
    let mut since = bob.syncs().await.next_batch();
    for (typing, expected) in [(true, json!([alice.id])), (false, json!([]))] {
        alice.types(room, typing).await.ok();
        let is_right = |content: &Value| content["user_ids"] == expected;
        (_, since) = sees(bob, &since, room, "m.typing", is_right).await;
    }
    // Sending ends it, too.
    alice.types(room, true).await.ok();
    (_, since) = sees(bob, &since, room, "m.typing", |c| {
        c["user_ids"] != json!([])
    })
    .await;
    alice.says(room, "done").await;
    sees(bob, &since, room, "m.typing", |c| {
        c["user_ids"] == json!([])
    })
    .await;
}

#[tokio::test]
async fn receipts_cross_over_but_private_ones() {
    let Some(two) = two().await else { return };
    let (alice, bob, room) = (&two.alice, &two.bob, &two.room);
    let [first, second] = [alice.says(room, "1").await, alice.says(room, "2").await];
    bob.syncs_until(room, &second).await;
    let since = alice.syncs().await.next_batch();
    bob.reads(room, "m.read.private", &second).await.ok();
    bob.reads(room, "m.read", &first).await.ok();
    let in_thread = v3(&["rooms", &room.id, "receipt", "m.read", &second]);
    bob.post(in_thread, &json!({"thread_id": "main"}))
        .await
        .ok();

    let reader = bob.id.clone();
    let by_bob = |event: &str| {
        let (event, reader) = (event.to_owned(), reader.clone());
        move |content: &Value| content[&event]["m.read"].get(&reader).is_some()
    };
    let (seen, _) = sees(alice, &since, room, "m.receipt", by_bob(&first)).await;
    assert!(
        seen[&first]["m.read"][&bob.id].get("thread_id").is_none(),
        "{seen}"
    );
    let (seen, _) = sees(alice, &since, room, "m.receipt", by_bob(&second)).await;
    assert_eq!(seen[&second]["m.read"][&bob.id]["thread_id"], "main");
    assert!(!seen.to_string().contains("m.read.private"), "{seen}");
}

#[tokio::test]
async fn a_server_that_is_denied_neither_joins_nor_is_joined() {
    let machine = Neighbourhood::new();
    let flags = ["--deny-server", "127.0.0.?"];
    let (Some(here), Some(strict)) = (machine.server().await, machine.server_with(&flags).await)
    else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, strict.user("bob").await];
    let open = alice.creates_room().public().await;
    let answer = bob.joins_via(&open, alice.server_name()).await;
    answer.refused(403, "M_FORBIDDEN");

    let strict_room = bob.creates_room().public().await;
    let answer = alice.joins_via(&strict_room, bob.server_name()).await;
    answer.refused(403, "M_FORBIDDEN");
    let inviting = bob.invites(&strict_room, &alice).await;
    inviting.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn the_operator_sees_how_the_queues_stand() {
    let Some(two) = two().await else { return };
    let last = two.alice.says(&two.room, "hello").await;
    two.bob.syncs_until(&two.room, &last).await;
    let metrics = eventually("measurements of the queues", async || {
        let answer = two.here.get("/metrics").await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        let has = |name: &str| text.contains(name);
        (has("rookery_federation_transactions_sent_total{outcome=\"arrived\"}")
            && has("rookery_federation_servers_waiting"))
        .then_some(text)
    })
    .await;
    for name in [
        "rookery_federation_servers_failing",
        "rookery_federation_events_waiting",
        "rookery_federation_events_sent_total",
        "rookery_federation_send_seconds",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
}
