//! People who do not want to be invited.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, federation::Neighbourhood, path::v3};

const BASIC: &str = "m.invite_permission_config";
const FINE: &str = "org.matrix.msc4155.invite_permission_config";

async fn sets(user: &User, event_type: &str, content: &Value) {
    let path = v3(&["user", &user.id, "account_data", event_type]);
    user.put(path, content).await.ok();
}

/// The rooms to which the user is invited, by an initial sync.
async fn invites(user: &User) -> Vec<String> {
    let sync = user.syncs().await;
    let invites = sync.0["rooms"]["invite"].as_object().cloned();
    invites
        .unwrap_or_default()
        .into_iter()
        .map(|(room, _)| room)
        .collect()
}

#[tokio::test]
async fn whoever_blocks_invites_gets_none() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let early = alice.creates_room().await;
    alice.invites(&early, &bob).await.ok();
    assert_eq!(invites(&bob).await, std::slice::from_ref(&early.id));
    sets(&bob, BASIC, &json!({"default_action": "block"})).await;
    assert_eq!(invites(&bob).await, [""; 0], "those that were there vanish");

    let room = alice.creates_room().await;
    alice
        .invites(&room, &bob)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    let by_state = json!({"membership": "invite"});
    alice
        .sets_state(&room, "m.room.member", &bob.id, &by_state)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    alice
        .state(&room, "m.room.member", &bob.id)
        .await
        .refused(404, "M_NOT_FOUND");
    let made = alice
        .post(
            "/_matrix/client/v3/createRoom",
            &json!({"invite": [bob.id]}),
        )
        .await
        .ok();
    alice
        .state(&Room::of(&made), "m.room.member", &bob.id)
        .await
        .refused(404, "M_NOT_FOUND");
    // Nor is it written into a room from the beginning.
    let invite = json!({"type": "m.room.member", "state_key": bob.id, "content": by_state});
    let made = alice
        .creates_room()
        .option("initial_state", json!([invite]))
        .await;
    alice
        .state(&made, "m.room.member", &bob.id)
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(invites(&bob).await, [""; 0]);
    // The state of rooms is as it is.
    let member = alice.state(&early, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["membership"], "invite");

    sets(&bob, BASIC, &json!({})).await;
    assert_eq!(invites(&bob).await, std::slice::from_ref(&early.id));
    alice.invites(&room, &bob).await.ok();
}

#[tokio::test]
async fn invites_are_filtered_by_user_and_server() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bore, spam, bob] = server.users(["alice", "bore", "spam", "bob"]).await;
    let rules = json!({
        "enabled": true, "allowed_users": [alice.id], "ignored_users": [format!("@bore:*"), null],
        "blocked_servers": ["*"],
    });
    sets(&bob, FINE, &rules).await;
    let mut rooms = Vec::new();
    for person in [&alice, &bore, &spam] {
        rooms.push(person.creates_room().await);
    }
    alice.invites(&rooms[0], &bob).await.ok();
    bore.invites(&rooms[1], &bob).await.ok();
    spam.invites(&rooms[2], &bob)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    assert_eq!(
        invites(&bob).await,
        std::slice::from_ref(&rooms[0].id),
        "the bore is not told"
    );
    sets(
        &bob,
        FINE,
        &json!({"enabled": false, "blocked_servers": ["*"]}),
    )
    .await;
    spam.invites(&rooms[2], &bob).await.ok();
    assert_eq!(invites(&bob).await.len(), 3);
}

#[tokio::test]
async fn invites_from_other_servers_are_blocked_and_their_senders_told() {
    let machine = Neighbourhood::new();
    let (Some(here), Some(there)) = (machine.server().await, machine.server().await) else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().await;
    sets(&bob, BASIC, &json!({"default_action": "block"})).await;
    alice
        .invites(&room, &bob)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    alice
        .state(&room, "m.room.member", &bob.id)
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(invites(&bob).await, [""; 0]);

    let peer = machine.peer().await;
    let carol = peer.user("carol");
    let theirs = peer.creates_room(&carol, "10", "invite");
    let content = json!({"membership": "invite"});
    let draft = peer
        .room(&theirs)
        .draft(&carol, "m.room.member", Some(&bob.id), &content);
    let invite = peer.seals(&theirs, &draft);
    peer.sends_invite(&there, &theirs, &invite)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    let servers = json!({"enabled": true, "blocked_servers": ["127.0.0.1"]});
    sets(&bob, BASIC, &json!({})).await;
    sets(&bob, FINE, &servers).await;
    peer.sends_invite(&there, &theirs, &invite)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    let ignored = json!({"enabled": true, "ignored_users": [carol]});
    sets(&bob, FINE, &ignored).await;
    peer.sends_invite(&there, &theirs, &invite).await.ok();
    assert_eq!(invites(&bob).await, [""; 0], "he is not told");
    alice.invites(&room, &bob).await.ok();
    let start = bob.syncs().await;
    assert!(start.invited(&room).is_some());
}
