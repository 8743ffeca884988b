//! Joining, inviting, leaving, kicking, banning, forgetting.

use serde_json::json;
use tests::{Room, TestServer, eventually::eventually, path::v3};

#[tokio::test]
async fn only_the_invited_enter_a_private_room() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    for version in ["10", "11", "12"] {
        let room = alice.creates_room().version(version).await;
        bob.joins(&room).await.refused(403, "M_FORBIDDEN");
        alice.invites(&room, &bob).await.ok();
        alice.invites(&room, &bob).await.ok();
        assert_eq!(bob.joins(&room).await.ok()["room_id"], room.id);
        assert_eq!(bob.joins(&room).await.ok()["room_id"], room.id, "again");
        alice.invites(&room, &bob).await.refused(403, "M_FORBIDDEN");
        eve.invites(&room, &eve).await.refused(403, "M_FORBIDDEN");
        let members = bob
            .get(v3(&["rooms", &room.id, "joined_members"]))
            .await
            .ok();
        assert_eq!(
            members["joined"].as_object().map(serde_json::Map::len),
            Some(2)
        );
    }
}

#[tokio::test]
async fn joining_twice_makes_one_event() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().public().await;
    let joins =
        futures_util::future::join_all((0..5).map(|_| bob.joins(&room).into_future())).await;
    for join in joins {
        join.ok();
    }
    let events = alice.all_messages(&room, "f", 100).await;
    let joins = events
        .iter()
        .filter(|event| event["type"] == "m.room.member" && event["state_key"] == bob.id)
        .count();
    assert_eq!(joins, 1);
}

#[tokio::test]
async fn a_room_is_joined_by_id_or_alias() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let name = server.fresh_name("café☕/1");
    let room = alice
        .creates_room()
        .public()
        .option("room_alias_name", json!(name))
        .await;
    let alias = format!("#{name}:{}", alice.server_name());
    let join = |id: &str| v3(&["join", id]);
    assert_eq!(
        bob.post(join(&alias), &json!({})).await.ok()["room_id"],
        room.id
    );
    let by_id = carol
        .post(join(&room.id), &json!({"reason": "curious"}))
        .query("server_name", carol.server_name())
        .await;
    assert_eq!(by_id.ok()["room_id"], room.id);
    assert_eq!(
        alice.state(&room, "m.room.member", &carol.id).await.ok()["reason"],
        "curious"
    );
    let nowhere = format!("#no-such-room-{name}:{}", alice.server_name());
    carol
        .post(join(&nowhere), &json!({}))
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(carol.post(join("nonsense"), &json!({})).await.status, 400);
}

#[tokio::test]
async fn a_refused_invite_goes_away() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().option("invite", json!([bob.id])).await;
    let first = bob.syncs().await;
    assert!(first.invited(&room).is_some());
    bob.leaves(&room).await.ok();
    let next = bob.syncs().since(&first.next_batch()).await;
    assert!(
        next.left(&room).is_some() && next.invited(&room).is_none(),
        "{next:?}"
    );
    let fresh = bob.syncs().await;
    assert!(fresh.invited(&room).is_none() && fresh.left(&room).is_none());
    bob.joins(&room).await.refused(403, "M_FORBIDDEN");
    alice.invites(&room, &bob).await.ok();
    bob.joins(&room).await.ok();
}

#[tokio::test]
async fn an_invite_can_be_taken_back() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().option("invite", json!([bob.id])).await;
    let since = bob.syncs().await.next_batch();
    alice.kicks(&room, &bob).await.ok();
    let next = bob.syncs().since(&since).await;
    assert!(
        next.left(&room).is_some() && next.invited(&room).is_none(),
        "{next:?}"
    );
    bob.joins(&room).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn leaving_twice_is_fine_and_leaving_where_one_never_was_is_not() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    bob.leaves(&room).await.ok();
    bob.sends(&room, "m.room.message", &json!({"body": "still here?"}))
        .await
        .refused(403, "M_FORBIDDEN");
    eve.leaves(&room).await.refused(403, "M_FORBIDDEN");
    let unknown = Room {
        id: "!there-is-no-such-room:localhost".to_owned(),
    };
    let answer = eve.leaves(&unknown).await;
    assert!(matches!(answer.status, 403 | 404), "{}", answer.summary());
}

#[tokio::test]
async fn kicking_needs_power_and_someone_to_kick() {
    let server = TestServer::start().await;
    let [alice, bob, carol, eve] = server.users(["alice", "bob", "carol", "eve"]).await;
    let room = alice.creates_room().with([&bob, &carol]).await;
    bob.kicks(&room, &carol).await.refused(403, "M_FORBIDDEN");
    alice.kicks(&room, &eve).await.refused(403, "M_FORBIDDEN");
    bob.kicks(&room, &alice).await.refused(403, "M_FORBIDDEN");
    alice.kicks(&room, &carol).await.ok();
    let member = alice.state(&room, "m.room.member", &carol.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("leave"), &json!("enough"))
    );
    alice.kicks(&room, &carol).await.refused(403, "M_FORBIDDEN");
    carol.joins(&room).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_ban_holds_until_it_is_lifted() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let room = alice.creates_room().public().with([&bob]).await;
    bob.bans(&room, &carol).await.refused(403, "M_FORBIDDEN");
    alice.bans(&room, &bob).await.ok();
    alice.bans(&room, &carol).await.ok();
    for banned in [&bob, &carol] {
        banned.joins(&room).await.refused_by_us(403, "M_FORBIDDEN");
        alice
            .invites(&room, banned)
            .await
            .refused_by_us(403, "M_FORBIDDEN");
    }
    bob.unbans(&room, &bob).await.refused(403, "M_FORBIDDEN");
    alice.unbans(&room, &bob).await.ok();
    bob.joins(&room).await.ok();
    let answer = alice.unbans(&room, &bob).await;
    assert!(
        matches!(answer.status, 400 | 403),
        "not banned: {}",
        answer.summary()
    );
}

#[tokio::test]
async fn a_room_is_forgotten_only_after_leaving() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    bob.forgets(&room).await.refused(400, "M_UNKNOWN");
    bob.leaves(&room).await.ok();
    bob.messages(&room, "b").await.ok();
    bob.forgets(&room).await.ok();
    bob.messages(&room, "b").await.refused(403, "M_FORBIDDEN");
    let filter = json!({"room": {"include_leave": true}});
    assert!(bob.syncs().filter(&filter).await.left(&room).is_none());

    alice.invites(&room, &bob).await.ok();
    bob.joins(&room).await.ok();
    assert!(
        !bob.all_messages(&room, "b", 50).await.is_empty(),
        "the history is back"
    );
}

#[tokio::test]
async fn a_membership_set_as_state_obeys_the_same_rules() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let set = |by: &tests::User, of: &tests::User, membership: &str| {
        by.sets_state(
            &room,
            "m.room.member",
            &of.id,
            &json!({"membership": membership}),
        )
    };
    set(&eve, &eve, "join").await.refused(403, "M_FORBIDDEN");
    set(&bob, &alice, "leave").await.refused(403, "M_FORBIDDEN");
    set(&alice, &eve, "join").await.refused(403, "M_FORBIDDEN");
    set(&alice, &eve, "leave").await.refused(403, "M_FORBIDDEN");
    set(&alice, &eve, "invite").await.ok();
    set(&eve, &eve, "join").await.ok();
    let joined = alice
        .get(v3(&["rooms", &room.id, "joined_members"]))
        .await
        .ok();
    assert!(joined["joined"].get(&eve.id).is_some());
    for (membership, seen) in [("leave", "leave"), ("ban", "ban"), ("leave", "leave")] {
        set(&alice, &eve, membership).await.ok();
        let member = alice.state(&room, "m.room.member", &eve.id).await.ok();
        assert_eq!(member["membership"], seen);
    }
}

#[tokio::test]
async fn a_member_event_says_what_its_user_wants_until_they_change_their_name() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let renames = |name: &str| {
        let path = v3(&["profile", &bob.id, "displayname"]);
        bob.put(path, &json!({"displayname": name}))
    };
    renames("Bob").await.ok();
    let room = alice.creates_room().public().await;
    let body = json!({"reason": "curious", "org.example.key": 1, "displayname": "Bobby"});
    bob.in_room(&room, "join", &body).await.ok();
    let member = async || alice.state(&room, "m.room.member", &bob.id).await.ok();
    let joined = member().await;
    for (key, value) in body.as_object().expect("an object") {
        assert_eq!(joined[key], *value, "{joined}");
    }
    let named = json!({"membership": "join", "displayname": "Rob"});
    bob.sets_state(&room, "m.room.member", &bob.id, &named)
        .await
        .ok();
    assert_eq!(member().await["displayname"], "Rob");
    renames("Robert").await.ok();
    eventually("the new name", async || {
        (member().await["displayname"] == "Robert").then_some(())
    })
    .await;
    // Who says nothing of their name has that of their profile.
    let other = alice.creates_room().public().await;
    let joins = json!({"membership": "join"});
    bob.sets_state(&other, "m.room.member", &bob.id, &joins)
        .await
        .ok();
    let member = alice.state(&other, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["displayname"], "Robert");
}

#[tokio::test]
async fn who_made_a_room_and_left_can_be_invited_again() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for version in ["11", "12"] {
        let room = alice.creates_room().version(version).with([&bob]).await;
        alice.leaves(&room).await.ok();
        bob.invites(&room, &alice).await.ok();
        alice.joins(&room).await.ok();
    }
}

#[tokio::test]
async fn an_invite_has_its_reason_and_a_join_what_it_was() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    let since = bob.syncs().await.next_batch();
    let invite = json!({"user_id": bob.id, "reason": "cake"});
    alice.in_room(&room, "invite", &invite).await.ok();
    let (invited, _) = bob
        .syncs_when(&since, |sync| sync.invited(&room).cloned())
        .await;
    let events = invited["invite_state"]["events"].as_array().expect("state");
    let own = events.iter().find(|event| event["state_key"] == bob.id);
    assert_eq!(own.expect("the invite")["content"]["reason"], "cake");

    let direct = alice
        .creates_room()
        .option("is_direct", json!(true))
        .with([&bob])
        .await;
    let events = bob.all_messages(&direct, "f", 100).await;
    let join = events
        .iter()
        .find(|event| event["state_key"] == bob.id && event["content"]["membership"] == "join");
    let join = join.expect("the join");
    let before = &join["unsigned"]["prev_content"];
    assert_eq!(
        (&before["membership"], &before["is_direct"]),
        (&json!("invite"), &json!(true)),
        "{join}"
    );
    assert_eq!(join["unsigned"]["prev_sender"], alice.id, "{join}");
}

#[tokio::test]
async fn an_invite_to_a_room_that_everybody_has_left_goes_away() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().option("invite", json!([bob.id])).await;
    alice.leaves(&room).await.ok();
    let since = bob.syncs().await.next_batch();
    bob.leaves(&room).await.ok();
    let (_, next) = bob
        .syncs_when(&since, |sync| sync.left(&room).cloned())
        .await;
    let after = bob.syncs().since(&next).await;
    assert!(after.invited(&room).is_none(), "{after:?}");
    assert!(bob.syncs().await.invited(&room).is_none());
}

#[tokio::test]
async fn who_leaves_or_is_put_out_finds_the_reason() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().public().with([&bob]).await;
    for (by, verb, membership) in [
        (&bob, "leave", "leave"),
        (&alice, "ban", "ban"),
        (&alice, "unban", "leave"),
    ] {
        let reason = format!("a reason to {verb}");
        let mut body = json!({"reason": reason});
        if by.id == alice.id {
            body["user_id"] = json!(bob.id);
        }
        by.in_room(&room, verb, &body).await.ok();
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(
            (&member["membership"], &member["reason"]),
            (&json!(membership), &json!(reason))
        );
    }
}

#[tokio::test]
async fn rooms_of_others_are_forgotten_like_any() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let everything = json!({"room": {"include_leave": true}});
    let [kicked, declined, left] = [
        alice.creates_room().with([&bob]).await,
        alice.creates_room().option("invite", json!([bob.id])).await,
        alice.creates_room().with([&bob]).await,
    ];
    alice.kicks(&kicked, &bob).await.ok();
    bob.leaves(&declined).await.ok();
    for room in [&kicked, &declined] {
        bob.forgets(room).await.ok();
        bob.messages(room, "b").await.refused(403, "M_FORBIDDEN");
        assert!(bob.syncs().filter(&everything).await.left(room).is_none());
    }
    // A device that has not heard of it yet still does.
    let since = bob.syncs().await.next_batch();
    bob.leaves(&left).await.ok();
    bob.forgets(&left).await.ok();
    bob.syncs_when(&since, |sync| sync.left(&left).cloned())
        .await;
}

#[tokio::test]
async fn a_room_has_its_members_for_who_may_see_them() {
    let server = TestServer::start().await;
    let [alice, bob, carol, eve] = server.users(["alice", "bob", "carol", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    alice.invites(&room, &carol).await.ok();
    let path = v3(&["rooms", &room.id, "members"]);
    let members = async |user: &tests::User, query: &[(&str, &str)]| {
        let call = query
            .iter()
            .fold(user.get(path.clone()), |call, (name, value)| {
                call.query(name, value)
            });
        let answer = call.await.ok();
        let mut ids: Vec<_> = answer["chunk"]
            .as_array()
            .expect("members")
            .iter()
            .map(|m| m["state_key"].as_str().expect("a user").to_owned())
            .collect();
        ids.sort();
        ids
    };
    let mut all = vec![alice.id.clone(), bob.id.clone(), carol.id.clone()];
    all.sort();
    assert_eq!(members(&alice, &[]).await, all);
    assert_eq!(
        members(&alice, &[("membership", "invite")]).await,
        [carol.id.as_str()]
    );
    assert_eq!(
        members(&alice, &[("not_membership", "invite")]).await.len(),
        2
    );
    eve.get(path.clone()).await.refused(403, "M_FORBIDDEN");

    // Who has left sees the list as it was then.
    bob.leaves(&room).await.ok();
    carol.joins(&room).await.ok();
    assert_eq!(
        members(&bob, &[("membership", "join")]).await,
        [alice.id.as_str()]
    );
    bob.get(v3(&["rooms", &room.id, "joined_members"]))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn members_at_an_earlier_time() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().public().await;
    let before = alice.syncs().await;
    // At the end of that sync, and at its beginning, which is that of the room.
    let timeline = &before.0["rooms"]["join"][&room.id]["timeline"];
    let beginning = timeline["prev_batch"].as_str().expect("a token").to_owned();
    bob.joins(&room).await.ok();
    for at in [before.next_batch(), beginning] {
        let members = alice
            .get(v3(&["rooms", &room.id, "members"]))
            .query("at", at)
            .await
            .ok();
        let ids: Vec<_> = members["chunk"]
            .as_array()
            .expect("members")
            .iter()
            .map(|m| m["state_key"].clone())
            .collect();
        assert_eq!(ids, [json!(alice.id)]);
    }
}

#[tokio::test]
async fn two_users_see_which_rooms_they_share() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let mut shared = Vec::new();
    for _ in 0..2 {
        shared.push(alice.creates_room().with([&bob]).await.id);
    }
    shared.sort_unstable();
    alice.creates_room().with([&eve]).await;
    let left = alice.creates_room().with([&bob]).await;
    bob.leaves(&left).await.ok();
    let with = |user: &str| {
        let path = tests::path::v1(&["mutual_rooms"]);
        alice.get(path).query("user_id", user)
    };
    let seen = with(&bob.id).await.ok();
    assert_eq!(seen, json!({"joined": shared, "count": 2}));
    let behind = with(&bob.id).query("from", &shared[0]).await.ok();
    assert_eq!(behind, json!({"joined": [shared[1]], "count": 2}));
    let nobody = with("@nobody:elsewhere.example").await.ok();
    assert_eq!(nobody, json!({"joined": [], "count": 0}));
    for wrong in [
        with(&alice.id),
        with("nobody"),
        with(&bob.id).query("from", "no token"),
    ] {
        assert_eq!(wrong.await.status, 400);
    }
}
