//! Who is there.

use serde_json::{Value, json};
use tests::{
    TestServer, User, eventually::eventually, federation::Neighbourhood, path::v3, sync::Sync,
};

/// What a sync says of somebody.
fn of(sync: &Sync, user: &User) -> Option<Value> {
    let events = sync.0["presence"]["events"].as_array()?;
    let event = events
        .iter()
        .rev()
        .find(|event| event["sender"] == user.id)?;
    Some(event["content"].clone())
}

fn status(user: &User) -> String {
    v3(&["presence", &user.id, "status"])
}

async fn sets(user: &User, content: &Value) {
    user.put(status(user), content).await.ok();
}

#[tokio::test]
async fn those_who_share_a_room_see_each_other_and_a_waiting_client_is_told() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let _room = alice.creates_room().with([&bob]).await;
    let first = alice.syncs().await;
    assert_eq!(of(&first, &alice).expect("one's own")["presence"], "online");
    let watched = bob.clone();
    let busy = json!({"presence": "unavailable", "status_msg": "in the garden"});
    let waiting = alice
        .watches(&first.next_batch(), move |sync| {
            of(sync, &watched).filter(|content| content["presence"] == "unavailable")
        })
        .await;
    sets(&bob, &busy).await;
    let (content, since) = waiting.await.expect("a sync");
    assert_eq!(content["status_msg"], "in the garden");

    let seen = alice.get(status(&bob)).await.ok();
    assert_eq!(seen["presence"], "unavailable", "{seen}");
    eve.get(status(&bob)).await.refused(403, "M_FORBIDDEN");
    assert!(of(&eve.syncs().await, &bob).is_none());

    // What changed while a sync was built may come once more. Then there is nothing new, and nothing told.
    let since = alice.syncs().since(&since).await.next_batch();
    let again = alice.syncs().since(&since).await;
    assert!(of(&again, &bob).is_none(), "{:?}", again.0);
    sets(&bob, &json!({"presence": "online"})).await;
    let later = alice.syncs().since(&since).await;
    let content = of(&later, &bob).expect("the change");
    assert_eq!(content["presence"], "online");
    assert!(content.get("status_msg").is_none(), "{content}");
}

#[tokio::test]
async fn whoever_joins_sees_who_is_there_and_is_seen_once() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().public().await;
    let [of_alice, of_bob] = [alice.syncs().await, bob.syncs().await];
    assert!(of(&of_bob, &alice).is_none(), "they share no room yet");
    bob.joins(&room).await.ok();
    let of_bob = bob.syncs().since(&of_bob.next_batch()).await;
    assert_eq!(
        of(&of_bob, &alice).expect("who is there")["presence"],
        "online"
    );
    let of_alice = alice.syncs().since(&of_alice.next_batch()).await;
    assert_eq!(of(&of_alice, &bob).expect("who came")["presence"], "online");
    alice.says(&room, "welcome").await;
    let of_bob = bob.syncs().since(&of_bob.next_batch()).await;
    assert!(of(&of_bob, &alice).is_none(), "{:?}", of_bob.0);
}

#[tokio::test]
async fn a_client_may_hide_its_user_and_look_away() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let _room = alice.creates_room().with([&bob]).await;
    bob.syncs().query("set_presence", "offline").await;
    let seen = alice.get(status(&bob)).await.ok();
    assert_eq!(seen["presence"], "offline", "{seen}");
    bob.syncs().query("set_presence", "unavailable").await;
    let seen = alice.get(status(&bob)).await.ok();
    assert_eq!(seen["presence"], "unavailable", "{seen}");
    let filter = json!({"presence": {"not_types": ["*"]}}).to_string();
    let sync = alice.syncs().query("filter", filter).await;
    assert!(of(&sync, &bob).is_none(), "{:?}", sync.0);
}

#[tokio::test]
async fn one_says_only_of_oneself_what_one_is() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let online = json!({"presence": "online"});
    let answer = alice.put(status(&bob), &online).await;
    answer.refused(403, "M_FORBIDDEN");
    for wrong in [
        json!({"presence": "asleep"}),
        json!({"presence": "online", "status_msg": "x".repeat(3_000)}),
    ] {
        let answer = alice.put(status(&alice), &wrong).await;
        answer.refused(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn presence_crosses_over_to_those_who_share_a_room() {
    let machine = Neighbourhood::new();
    let (Some(here), Some(there)) = (machine.server().await, machine.server().await) else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    alice.syncs().await;
    let room = alice.creates_room().public().await;
    bob.joins_via(&room, alice.server_name()).await.ok();
    // Alice was there before: Bob's server is told when he comes.
    eventually("the presence of who was there before", async || {
        let seen = bob.get(status(&alice)).await.ok();
        (seen["presence"] != "offline").then_some(())
    })
    .await;
    sets(
        &bob,
        &json!({"presence": "unavailable", "status_msg": "far away"}),
    )
    .await;
    let seen = eventually("the presence of another server", async || {
        let seen = alice.get(status(&bob)).await.ok();
        (seen["status_msg"] == "far away").then_some(seen)
    })
    .await;
    assert_eq!(seen["presence"], "unavailable", "{seen}");
    let sync = alice.syncs().await;
    assert_eq!(of(&sync, &bob).expect("in sync")["status_msg"], "far away");
}

/// A file of settings with this section.
fn settings(machine: &Neighbourhood, section: &str) -> String {
    let file = machine.file("presence.toml");
    std::fs::write(&file, format!("[presence]\n{section}\n")).expect("a file");
    file
}

#[tokio::test]
async fn without_presence_everybody_is_offline_and_all_else_goes_on() {
    let machine = Neighbourhood::new();
    let file = settings(&machine, "enabled = false");
    let Some(server) = machine.server_with(&["--config", &file]).await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let start = alice.syncs().await.next_batch();
    sets(&bob, &json!({"presence": "online", "status_msg": "here"})).await;
    let said = bob.says(&room, "hello").await;
    alice.syncs_on_until(Some(&start), &room, &said).await;
    let sync = alice.syncs().since(&start).await;
    assert!(of(&sync, &bob).is_none(), "{:?}", sync.0);
    let seen = alice.get(status(&bob)).await.ok();
    assert_eq!(seen["presence"], "offline", "{seen}");
    assert!(seen.get("status_msg").is_none(), "{seen}");
}

/// PRES-04.
#[tokio::test]
async fn in_a_quiet_room_nobody_is_seen_from_another_server() {
    let machine = Neighbourhood::new();
    let file = settings(&machine, "");
    let (Some(mut here), Some(there)) = (
        machine.server_with(&["--config", &file]).await,
        machine.server().await,
    ) else {
        return;
    };
    let [alice, dave] = here.users(["alice", "dave"]).await;
    let bob = there.user("bob").await;
    let quiet = alice.creates_room().public().await;
    here.stop().await;
    settings(&machine, &format!("quiet_rooms = [\"{}\"]", quiet.id));
    here.restart().await;
    bob.joins_via(&quiet, alice.server_name()).await.ok();
    let beside = dave.creates_room().public().await;
    bob.joins_via(&beside, dave.server_name()).await.ok();
    sets(&alice, &json!({"presence": "online", "status_msg": "a"})).await;
    sets(&bob, &json!({"presence": "online", "status_msg": "b"})).await;
    sets(&dave, &json!({"presence": "online"})).await;
    let said = alice.says(&quiet, "hello").await;
    bob.syncs_until(&quiet, &said).await;
    let said = bob.says(&quiet, "hello yourself").await;
    alice.syncs_until(&quiet, &said).await;
    // Hers was before his, so that it would be there by then.
    eventually("the presence by a room that is not quiet", async || {
        let seen = bob.get(status(&dave)).await.ok();
        (seen["presence"] != "offline").then_some(())
    })
    .await;
    let seen = bob.get(status(&alice)).await.ok();
    assert_eq!(seen["presence"], "offline", "{seen}");
    let refused = alice.get(status(&bob)).await;
    refused.refused(403, "M_FORBIDDEN");

    // By another room they see each other.
    let loud = alice.creates_room().public().await;
    bob.joins_via(&loud, alice.server_name()).await.ok();
    for (by, of) in [(&bob, &alice), (&alice, &bob)] {
        eventually("the presence by another room", async || {
            let seen = by.get(status(of)).await.ok();
            (seen["presence"] != "offline").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn presence_is_switched_off_towards_others_and_from_others() {
    let machine = Neighbourhood::new();
    for (section, alice_is_seen) in [
        ("to_other_servers = false", false),
        ("from_other_servers = false", true),
    ] {
        let file = settings(&machine, section);
        let (Some(here), Some(there)) = (
            machine.server_with(&["--config", &file]).await,
            machine.server().await,
        ) else {
            return;
        };
        let [alice, bob] = [here.user("alice").await, there.user("bob").await];
        let room = alice.creates_room().public().await;
        bob.joins_via(&room, alice.server_name()).await.ok();
        sets(&alice, &json!({"presence": "online", "status_msg": "a"})).await;
        sets(&bob, &json!({"presence": "online", "status_msg": "b"})).await;
        let (sees, seen, hidden) = match alice_is_seen {
            true => (&bob, &alice, &bob),
            false => (&alice, &bob, &alice),
        };
        eventually("the presence that is told", async || {
            let seen = sees.get(status(seen)).await.ok();
            (seen["presence"] == "online").then_some(())
        })
        .await;
        // The other way something goes, but no presence.
        let said = hidden.says(&room, "hello").await;
        seen.syncs_until(&room, &said).await;
        let hidden = seen.get(status(hidden)).await.ok();
        assert_eq!(hidden["presence"], "offline", "{section}: {hidden}");
    }
}
