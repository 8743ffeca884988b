//! Guests: what they may do, where they may be, and how they get an account of their own.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Call, Room, TestServer, User, api::Api, eventually::eventually, federation::Neighbourhood,
    path::v3, server::Settings, socket::Socket,
};

const REGISTER: &str = "/_matrix/client/v3/register";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

/// What guests may ask for: client-server API, "Guest Access".
const ALLOWED: [&str; 16] = [
    "getRoomState",
    "getEventContext",
    "getOneRoomEvent",
    "getRoomStateWithKey",
    "getRoomEvents",
    "getMembersByRoom",
    "roomInitialSync",
    "sync",
    "joinRoomById",
    "leaveRoom",
    "sendMessage",
    "setRoomStateWithKey",
    "getDevices",
    "getDevice",
    "updateDevice",
    "getTokenOwner",
];

/// A server that has guests.
async fn hospitable() -> Option<TestServer> {
    let mut settings = Settings::open().await;
    settings.flags.push("--allow-guests".to_owned());
    TestServer::start_with(settings).await
}

async fn guest(server: &TestServer) -> User {
    let asked = json!({"username": "ignored", "device_id": "ignored", "password": "ignored"});
    let session = server.post(REGISTER, &asked).query("kind", "guest");
    let session = session.await.ok();
    assert_ne!(session["device_id"], "ignored", "{session}");
    User::new(server.connection(), &session, String::new())
}

async fn room_for_guests(alice: &User) -> Room {
    let room = alice.creates_room().public().await;
    let access = json!({"guest_access": "can_join"});
    let set = alice.sets_state(&room, "m.room.guest_access", "", &access);
    set.await.ok();
    room
}

async fn membership(seen_by: &User, room: &Room, of: &User) -> Value {
    let state = seen_by.state(room, "m.room.member", &of.id).await;
    state.json()["membership"].clone()
}

#[tokio::test]
async fn there_are_no_guests_unless_the_operator_wants_them() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let guest = server.post(REGISTER, &json!({})).query("kind", "guest");
    guest.await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn guests_may_do_what_is_listed_and_nothing_else() {
    let Some(server) = hospitable().await else {
        return;
    };
    let guest = guest(&server).await;
    assert!(guest.name().bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(guest.get(WHOAMI).await.ok()["is_guest"], true);
    let mut allowed = BTreeSet::new();
    let described = Api::get().operations().iter();
    for operation in described.filter(|operation| operation.authenticated) {
        if operation.id.starts_with("openStream") {
            continue;
        }
        let path = operation.path.replace(['{', '}'], "x");
        let method: Method = operation.method.parse().expect("a method");
        let answer = guest.call(method, path).leniently().await;
        if answer.errcode().as_deref() != Some("M_GUEST_ACCESS_FORBIDDEN") {
            allowed.insert(operation.id.as_str());
            assert!(
                ALLOWED.contains(&&*operation.id),
                "{} is open",
                operation.id
            );
        }
    }
    let missing: Vec<_> = ALLOWED.iter().filter(|id| !allowed.contains(*id)).collect();
    assert!(missing.is_empty(), "{missing:?} are closed");
    // They may look into one room, and have no stream of all.
    let alice = server.user("alice").await;
    let room = alice.creates_room().visibility("world_readable").await;
    let events = || guest.get(v3(&["events"])).query("timeout", 0);
    events().query("room_id", &room.id).await.ok();
    events().await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let socket = Socket::open(server.connection(), &guest.token, "").await;
    assert!(matches!(socket, Err((403, _))), "no socket");
    // Their name, and nothing else of their profile.
    let field = |field: &str| {
        let path = v3(&["profile", &guest.id, field]);
        guest.put(path, &json!({field: "mxc://here/picture"}))
    };
    field("displayname").await.ok();
    field("avatar_url")
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    // What needs no token is not closed by one.
    guest.get(v3(&["profile", &guest.id])).await.ok();
    guest.get("/_matrix/client/v3/publicRooms").await.ok();
}

#[tokio::test]
async fn guests_are_where_rooms_admit_them() {
    let Some(server) = hospitable().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let [here, there] = [guest(&server).await, guest(&server).await];
    let closed = alice.creates_room().public().await;
    let forbidden = "M_GUEST_ACCESS_FORBIDDEN";
    here.joins(&closed).await.refused(403, forbidden);
    let join = json!({"membership": "join"});
    here.sets_state(&closed, "m.room.member", &here.id, &join)
        .await
        .refused(403, forbidden);
    let later = v3(&["rooms", &closed.id, "state", "m.room.member", &here.id]);
    here.put(later, &join)
        .query("org.matrix.msc4140.delay", 1)
        .await
        .refused(403, forbidden);

    let room = room_for_guests(&alice).await;
    for person in [&here, &there, &bob] {
        person.joins(&room).await.ok();
    }
    let said = here.says(&room, "hello").await;
    alice.syncs_until(&room, &said).await;
    here.syncs_until(&room, &said).await;
    there.leaves(&room).await.ok();
    there.joins(&room).await.ok();

    let access = json!({"guest_access": "forbidden"});
    let set = alice.sets_state(&room, "m.room.guest_access", "", &access);
    set.await.ok();
    for guest in [&here, &there] {
        eventually("the guest is out", async || {
            (membership(&alice, &room, guest).await == "leave").then_some(())
        })
        .await;
        guest.joins(&room).await.refused(403, forbidden);
    }
    assert_eq!(membership(&alice, &room, &bob).await, "join");
    bob.says(&room, "still here").await;
}

#[tokio::test]
async fn guests_join_no_rooms_of_other_servers_but_those_where_theirs_is() {
    let machine = Neighbourhood::new();
    let (Some(here), Some(there)) = (
        machine.server_with(&["--allow-guests"]).await,
        machine.server().await,
    ) else {
        return;
    };
    let [alice, bob] = [there.user("alice").await, here.user("bob").await];
    let visitor = guest(&here).await;
    let room = room_for_guests(&alice).await;
    let join = |user: &User| -> Call {
        let path = v3(&["rooms", &room.id, "join"]);
        user.post(path, &json!({}))
    };
    join(&visitor)
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let entering = bob.post(v3(&["join", &room.id]), &json!({}));
    entering.query("via", there.name()).await.ok();
    join(&visitor).await.ok();
    // Another server says that guests are not welcome any more.
    let access = json!({"guest_access": "forbidden"});
    let set = alice.sets_state(&room, "m.room.guest_access", "", &access);
    set.await.ok();
    eventually("the guest is out", async || {
        (membership(&alice, &room, &visitor).await == "leave").then_some(())
    })
    .await;
    assert_eq!(membership(&alice, &room, &bob).await, "join");
}

#[tokio::test]
async fn a_guest_gets_an_account_of_their_own() {
    let Some(server) = hospitable().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = room_for_guests(&alice).await;
    let [visitor, other] = [guest(&server).await, guest(&server).await];
    visitor.joins(&room).await.ok();
    let password = "the visitor's own password";
    let upgrade = |username: Value, token: &str| {
        server.post(
            REGISTER,
            &json!({
                "username": username, "password": password, "guest_access_token": token,
                "auth": {"type": "m.login.dummy"},
            }),
        )
    };
    let name = json!(visitor.name());
    for token in [&other.token, &alice.token, "no token"] {
        upgrade(name.clone(), token)
            .await
            .refused(403, "M_FORBIDDEN");
    }
    upgrade(json!(null), &visitor.token)
        .await
        .refused(400, "M_MISSING_PARAM");
    upgrade(json!("somebody"), &visitor.token)
        .await
        .refused(403, "M_FORBIDDEN");
    let session = upgrade(name.clone(), &visitor.token).await.ok();
    assert_eq!(session["user_id"], json!(visitor.id));
    let account = User::new(server.connection(), &session, password.to_owned());
    for user in [&account, &visitor] {
        let asked = user.get(WHOAMI).await.ok();
        assert_ne!(asked["is_guest"], true, "{asked}");
    }
    account.creates_room().await;
    account.logs_in_again().await;
    // Once is enough.
    upgrade(name, &visitor.token)
        .await
        .refused(403, "M_FORBIDDEN");
    // Who is no guest stays where guests may not be.
    let access = json!({"guest_access": "forbidden"});
    other.joins(&room).await.ok();
    let set = alice.sets_state(&room, "m.room.guest_access", "", &access);
    set.await.ok();
    eventually("the other guest is out", async || {
        (membership(&alice, &room, &other).await == "leave").then_some(())
    })
    .await;
    assert_eq!(membership(&alice, &room, &account).await, "join");
}
