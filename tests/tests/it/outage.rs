//! What was said while another server was away reaches it when it is back, in order.

use serde_json::json;
use tests::{Room, User, federation::Neighbourhood, path::v3};

/// How many messages an outage lasts.
const MESSAGES: usize = 300;

/// The bodies of the messages that somebody sees, oldest first.
async fn bodies(user: &User, room: &Room) -> Vec<String> {
    let events = user.all_messages(room, "b", 100).await;
    let bodies = events.iter().rev();
    bodies
        .filter_map(|event| event["content"]["body"].as_str().map(str::to_owned))
        .collect()
}

/// Waits until somebody sees a message.
async fn hears(user: &User, room: &Room, event: &str) {
    user.syncs_until(room, event).await;
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn an_outage_of_many_messages_is_caught_up_with_in_order() {
    let machine = Neighbourhood::new();
    let (Some(mut here), Some(mut there)) = (machine.server().await, machine.server().await) else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().await;
    bob.joins_via(&room, alice.server_name()).await.ok();
    let first = alice.says(&room, "0").await;
    hears(&bob, &room, &first).await;

    there.stop().await;
    for n in 1..MESSAGES {
        alice.says(&room, &n.to_string()).await;
        if n == MESSAGES / 2 {
            // Nothing of it is only in memory.
            here.kill();
            here.restart().await;
        }
    }
    here.stop().await;
    there.restart().await;
    here.restart().await;
    let last = alice.says(&room, &MESSAGES.to_string()).await;
    hears(&bob, &room, &last).await;
    assert_eq!(bodies(&bob, &room).await, numbers(0, MESSAGES + 1));
}

#[tokio::test]
async fn a_sender_that_is_killed_in_the_middle_loses_nothing() {
    let machine = Neighbourhood::new();
    let (Some(mut here), Some(there)) = (machine.server().await, machine.server().await) else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().await;
    bob.joins_via(&room, alice.server_name()).await.ok();
    for n in 0..120 {
        alice.says(&room, &n.to_string()).await;
        if n % 40 == 20 {
            here.kill();
            here.restart().await;
        }
    }
    // It is the last that is acknowledged before the kill, so that nothing later leads to it.
    let last = alice.says(&room, "120").await;
    here.kill();
    here.restart().await;
    hears(&bob, &room, &last).await;
    assert_eq!(bodies(&bob, &room).await, numbers(0, 121));
}

#[tokio::test]
async fn a_server_that_is_away_does_not_hold_up_another_and_is_told_of_joins() {
    let machine = Neighbourhood::new();
    let (Some(here), Some(there), Some(mut gone)) = (
        machine.server().await,
        machine.server().await,
        machine.server().await,
    ) else {
        return;
    };
    let alice = here.user("alice").await;
    let [bob, carol] = [there.user("bob").await, gone.user("carol").await];
    let room = alice.creates_room().public().await;
    carol.joins_via(&room, alice.server_name()).await.ok();
    gone.stop().await;
    // The join goes through `here`, which alone can bring it to `gone`.
    bob.joins_via(&room, alice.server_name()).await.ok();
    let mut last = String::new();
    for n in 0..20 {
        last = alice.says(&room, &n.to_string()).await;
        hears(&bob, &room, &last).await;
    }
    let since = {
        gone.restart().await;
        carol.syncs().await.next_batch()
    };
    carol.syncs_on_until(Some(&since), &room, &last).await;
    assert_eq!(bodies(&carol, &room).await, numbers(0, 20));
    let member = carol.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["membership"], "join");
}

#[tokio::test]
async fn a_server_that_was_away_learns_how_far_everybody_has_read() {
    let machine = Neighbourhood::new();
    let (Some(mut here), Some(mut there)) = (machine.server().await, machine.server().await) else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().await;
    bob.joins_via(&room, alice.server_name()).await.ok();
    let mut events = Vec::new();
    for n in 0..3 {
        events.push(bob.says(&room, &n.to_string()).await);
    }
    hears(&alice, &room, &events[2]).await;
    let since = bob.syncs().await.next_batch();

    there.stop().await;
    for event in &events[..2] {
        alice.reads(&room, "m.read", event).await.ok();
    }
    // Both of the same event: they do not fit into one receipt.
    let in_thread = v3(&["rooms", &room.id, "receipt", "m.read", &events[1]]);
    let main = json!({ "thread_id": "main" });
    alice.post(in_thread, &main).await.ok();
    alice.reads(&room, "m.read.private", &events[2]).await.ok();
    here.kill();
    here.restart().await;
    there.restart().await;
    let (read, _) = bob
        .syncs_when(&since, |sync| {
            let read = sync.of_room(&room, "ephemeral", "m.receipt");
            read.filter(|read| read[&events[1]]["m.read"].get(&alice.id).is_some())
                .cloned()
        })
        .await;
    assert!(read.get(&events[0]).is_none(), "only the last: {read}");
    assert!(!read.to_string().contains("m.read.private"), "{read}");
    let seen = &read[&events[1]]["m.read"][&alice.id];
    assert!(
        seen.get("thread_id").is_none(),
        "the one of no thread hides: {read}"
    );
}
