//! Rooms that several servers are in: who says what where, who is thrown out, and what remains of a partition.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::{Room, TestServer, User, eventually::eventually, federation::Neighbourhood, path::v3};

/// Three servers, with a user each.
async fn three() -> Option<(Neighbourhood, [TestServer; 3], [User; 3])> {
    let machine = Neighbourhood::new();
    let servers = [
        machine.server().await?,
        machine.server().await?,
        machine.server().await?,
    ];
    let users = [
        servers[0].user("alice").await,
        servers[1].user("bob").await,
        servers[2].user("carol").await,
    ];
    Some((machine, servers, users))
}

/// Types and state keys, and the events that hold there, as a member sees them.
async fn state(user: &User, room: &Room) -> BTreeMap<(String, String), String> {
    let state = user.get(v3(&["rooms", &room.id, "state"])).await.ok();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = state.as_array().into_iter().flatten();
    events
        .map(|event| {
            let slot = (text(&event["type"]), text(&event["state_key"]));
            (slot, text(&event["event_id"]))
        })
        .collect()
}

/// Waits until all see the same state, and returns it.
async fn agree(users: &[&User], room: &Room) -> BTreeMap<(String, String), String> {
    eventually("the same state on all sides", async || {
        let first = state(users[0], room).await;
        for user in &users[1..] {
            if state(user, room).await != first {
                return None;
            }
        }
        Some(first)
    })
    .await
}

async fn becomes(seen_by: &User, room: &Room, of: &User, membership: &str) {
    eventually(membership, async || {
        let state = seen_by.state(room, "m.room.member", &of.id).await;
        (state.status == 200 && state.json()["membership"] == membership).then_some(())
    })
    .await;
}

#[tokio::test]
async fn three_servers_share_a_room() {
    let Some((_machine, _servers, [alice, bob, carol])) = three().await else {
        return;
    };
    for version in ["6", "10", "12"] {
        let room = alice.creates_room().public().version(version).await;
        bob.joins_via(&room, alice.server_name()).await.ok();
        // Through a server that did not make the room.
        carol.joins_via(&room, bob.server_name()).await.ok();
        for user in [&alice, &bob, &carol] {
            for other in [&alice, &bob, &carol] {
                becomes(user, &room, other, "join").await;
            }
        }
        for speaker in [&alice, &bob, &carol] {
            let said = speaker.says(&room, "to all").await;
            for listener in [&alice, &bob, &carol] {
                listener.syncs_until(&room, &said).await;
            }
        }
        agree(&[&alice, &bob, &carol], &room).await;
    }
}

#[tokio::test]
async fn who_is_thrown_out_is_out_on_all_servers() {
    let Some((_machine, _servers, [alice, bob, carol])) = three().await else {
        return;
    };
    let room = alice.creates_room().public().await;
    bob.joins_via(&room, alice.server_name()).await.ok();
    carol.joins_via(&room, alice.server_name()).await.ok();
    becomes(&bob, &room, &carol, "join").await;
    let start = carol.syncs().await.next_batch();

    alice.kicks(&room, &carol).await.ok();
    let ((), next) = carol
        .syncs_when(&start, |sync| sync.left(&room).map(|_| ()))
        .await;
    becomes(&bob, &room, &carol, "leave").await;
    carol
        .sends(&room, "m.room.message", &json!({"body": "still here?"}))
        .await
        .refused(403, "M_FORBIDDEN");
    carol.joins_via(&room, bob.server_name()).await.ok();
    becomes(&alice, &room, &carol, "join").await;

    // By a moderator of another server.
    let mut levels = alice.state(&room, "m.room.power_levels", "").await.ok();
    levels["users"][&bob.id] = json!(50);
    let set = alice.sets_state(&room, "m.room.power_levels", "", &levels);
    let raised = set.await.ok().event_id;
    bob.syncs_until(&room, &raised).await;
    bob.bans(&room, &carol).await.ok();
    carol
        .syncs_when(&next, |sync| sync.left(&room).map(|_| ()))
        .await;
    becomes(&alice, &room, &carol, "ban").await;
    for other in [&alice, &bob] {
        let joining = carol.joins_via(&room, other.server_name()).await;
        joining.refused(403, "M_FORBIDDEN");
    }
    let said = alice.says(&room, "without her").await;
    bob.syncs_until(&room, &said).await;

    bob.unbans(&room, &carol).await.ok();
    becomes(&alice, &room, &carol, "leave").await;
    carol.joins_via(&room, alice.server_name()).await.ok();
    becomes(&bob, &room, &carol, "join").await;
    agree(&[&alice, &bob, &carol], &room).await;
}

/// Both sides go on alone, and change the same things; afterwards both have the same of them, and everything that was
/// said.
#[tokio::test]
async fn a_partition_heals_to_the_same_state() {
    let machine = Neighbourhood::new();
    let Some((here, to_here)) = machine.server_behind_switch().await else {
        return;
    };
    let (there, to_there) = machine.server_behind_switch().await.expect("a second one");
    let alice = here.user("alice").await;
    let [bob, carol] = there.users(["bob", "carol"]).await;
    for version in ["1", "10", "12"] {
        let room = alice.creates_room().public().version(version).await;
        bob.joins_via(&room, alice.server_name()).await.ok();
        carol.joins_via(&room, alice.server_name()).await.ok();
        let mut levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        levels["users"][&bob.id] = json!(90);
        let set = alice.sets_state(&room, "m.room.power_levels", "", &levels);
        let raised = set.await.ok().event_id;
        bob.syncs_until(&room, &raised).await;
        becomes(&alice, &room, &carol, "join").await;

        to_here.cut();
        to_there.cut();
        let mut said = Vec::new();
        for (user, other) in [(&alice, &carol), (&bob, &alice)] {
            said.push(user.says(&room, "alone").await);
            let name = json!({"name": format!("the room of {}", user.id)});
            user.sets_state(&room, "m.room.name", "", &name).await.ok();
            let topic = json!({"topic": format!("without {}", other.id)});
            user.sets_state(&room, "m.room.topic", "", &topic)
                .await
                .ok();
            said.push(user.says(&room, "still alone").await);
        }
        alice.bans(&room, &carol).await.ok();
        said.push(carol.says(&room, "I do not know yet").await);

        to_here.heal();
        to_there.heal();
        for user in [&alice, &bob] {
            said.push(user.says(&room, "together again").await);
        }
        for user in [&alice, &bob] {
            for last in &said[said.len() - 2..] {
                user.syncs_until(&room, last).await;
            }
        }
        let agreed = agree(&[&alice, &bob], &room).await;
        let slot = ("m.room.member".to_owned(), carol.id.clone());
        let member = alice.event(&room, &agreed[&slot]).await.ok();
        assert_eq!(member["content"]["membership"], "ban", "in {version}");
        for user in [&alice, &bob] {
            for id in &said[..4] {
                assert_eq!(user.event(&room, id).await.status, 200, "in {version}");
            }
        }
    }
}
