//! What users learn from other servers without being in a room with them: profiles, spaces, summaries, aliases.

use serde_json::{Value, json};
use tests::{
    Call, Room, TestServer, User,
    federation::Neighbourhood,
    path::{v1, v3},
};

/// Alice on one server, bob on another that reaches it.
async fn two() -> Option<(Neighbourhood, [TestServer; 2], [User; 2])> {
    let neighbourhood = Neighbourhood::new();
    let (here, there) = (neighbourhood.server().await?, neighbourhood.server().await?);
    let users = [here.user("alice").await, there.user("bob").await];
    Some((neighbourhood, [here, there], users))
}

fn hierarchy(by: &User, space: &Room) -> Call {
    by.get(v1(&["rooms", &space.id, "hierarchy"]))
}

/// Puts a room into a space.
async fn links(by: &User, space: &Room, child: &Room, via: &User, order: &str) {
    let content = json!({"via": [via.server_name()], "order": order});
    by.sets_state(space, "m.space.child", &child.id, &content)
        .await
        .ok();
}

fn names(page: &Value) -> Vec<&str> {
    let rooms = page["rooms"].as_array().expect("rooms").iter();
    rooms
        .map(|room| room["name"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn a_profile_is_asked_for_at_the_users_server() {
    let Some((_machine, [_here, there], [alice, bob])) = two().await else {
        return;
    };
    for (field, value) in [
        ("displayname", json!("Alice")),
        ("org.example.half", json!([0.5])),
    ] {
        let path = v3(&["profile", &alice.id, field]);
        alice.put(path, &json!({field: value})).await.ok();
    }
    let whole = v3(&["profile", &alice.id]);
    let profile = bob.get(whole.clone()).await.ok();
    assert_eq!(
        profile,
        json!({"displayname": "Alice", "org.example.half": [0.5]})
    );
    let name = bob
        .get(v3(&["profile", &alice.id, "displayname"]))
        .await
        .ok();
    assert_eq!(name, json!({"displayname": "Alice"}));
    let unset = bob.get(v3(&["profile", &alice.id, "m.tz"])).await;
    unset.refused(404, "M_NOT_FOUND");
    assert_eq!(there.get(whole).await.ok(), profile, "without a token too");

    let unknown = format!("@nobody:{}", alice.server_name());
    bob.get(v3(&["profile", &unknown]))
        .await
        .refused(404, "M_NOT_FOUND");
    let nowhere = bob.get(v3(&["profile", "@alice:127.0.0.1:1"])).await;
    assert_eq!(nowhere.status, 502);
}

#[tokio::test]
async fn a_canonical_alias_may_be_one_of_another_server() {
    let Some((_machine, _servers, [alice, bob])) = two().await else {
        return;
    };
    let room = alice.creates_room().public().await;
    let elsewhere = alice.creates_room().public().await;
    for room in [&room, &elsewhere] {
        bob.joins_via(room, alice.server_name()).await.ok();
    }
    let alias = |name: &str| format!("#{name}:{}", bob.server_name());
    for (name, room) in [("good", &room), ("other", &elsewhere)] {
        let path = v3(&["directory", "room", &alias(name)]);
        bob.put(path, &json!({"room_id": room.id})).await.ok();
    }
    let found = alice
        .get(v3(&["directory", "room", &alias("good")]))
        .await
        .ok();
    let servers = json!([alice.server_name(), bob.server_name()]);
    assert_eq!(
        (&found["room_id"], &found["servers"]),
        (&json!(room.id), &servers)
    );
    let set = |alias: String| {
        let content = json!({"alt_aliases": [alias]});
        alice.sets_state(&room, "m.room.canonical_alias", "", &content)
    };
    for wrong in ["other", "none"] {
        set(alias(wrong)).await.refused(400, "M_BAD_ALIAS");
    }
    set(alias("good")).await.ok();
    let unknown = v3(&["directory", "room", &alias("none")]);
    alice.get(unknown).await.refused(404, "M_NOT_FOUND");
    let nowhere = alice
        .get(v3(&["directory", "room", "#place:127.0.0.1:1"]))
        .await;
    assert_eq!(nowhere.status, 502);
}

#[tokio::test]
async fn a_space_reaches_over_servers() {
    let Some((_machine, _servers, [alice, bob])) = two().await else {
        return;
    };
    // Of a version whose room IDs name a server, so that nobody needs to tell it.
    let space = async |by: &User, name: &str| {
        let space = by
            .creates_room()
            .public()
            .version("11")
            .option("name", json!(name));
        space
            .option("creation_content", json!({"type": "m.space"}))
            .await
    };
    let root = space(&bob, "root").await;
    let theirs = space(&alice, "theirs").await;
    let leaf = alice
        .creates_room()
        .public()
        .version("11")
        .option("name", json!("leaf"))
        .await;
    let secret = alice
        .creates_room()
        .version("11")
        .option("name", json!("secret"))
        .await;
    let club = alice
        .creates_room()
        .public()
        .version("11")
        .option("name", json!("club"))
        .await;
    let members = alice
        .creates_room()
        .public()
        .version("11")
        .option("name", json!("members"))
        .await;
    let rule = json!({"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club.id}]});
    alice
        .sets_state(&members, "m.room.join_rules", "", &rule)
        .await
        .ok();
    let ours = bob
        .creates_room()
        .version("11")
        .option("name", json!("ours"))
        .await;
    links(&bob, &root, &theirs, &alice, "a").await;
    links(&alice, &theirs, &leaf, &alice, "a").await;
    links(&alice, &theirs, &secret, &alice, "b").await;
    links(&alice, &theirs, &members, &alice, "c").await;
    links(&alice, &theirs, &ours, &bob, "d").await;
    links(&alice, &theirs, &root, &bob, "e").await;
    let nowhere = Room {
        id: "!gone:127.0.0.1:1".to_owned(),
    };
    let dead = json!({"via": ["127.0.0.1:1"]});
    bob.sets_state(&root, "m.space.child", &nowhere.id, &dead)
        .await
        .ok();

    let page = hierarchy(&bob, &root).await.ok();
    assert_eq!(names(&page), ["root", "theirs", "leaf", "ours"]);
    let links = page["rooms"][1]["children_state"].as_array().map(Vec::len);
    assert_eq!(links, Some(5), "what one may not see stays linked");
    let first = hierarchy(&bob, &root).query("limit", 2).await.ok();
    let next = first["next_batch"].as_str().unwrap_or_default();
    let second = hierarchy(&bob, &root).query("from", next).await.ok();
    assert_eq!(names(&second), ["leaf", "ours"]);
    let from_there = hierarchy(&bob, &theirs).await.ok();
    assert_eq!(
        names(&from_there)[..2],
        ["theirs", "leaf"],
        "a root of another server"
    );
    hierarchy(&bob, &secret).await.refused(403, "M_FORBIDDEN");

    // Who is in the club sees what is for its members, once both servers know it.
    bob.joins_via(&club, alice.server_name()).await.ok();
    let shown = bob
        .get(v1(&["room_summary", &members.id]))
        .query("via", alice.server_name());
    let shown = shown.await.ok();
    assert_eq!(
        (&shown["name"], &shown["allowed_room_ids"]),
        (&json!("members"), &json!([club.id]))
    );
}

#[tokio::test]
async fn a_room_is_summarised_by_a_server_that_is_in_it() {
    let Some((_machine, [_here, there], [alice, bob])) = two().await else {
        return;
    };
    let room = alice
        .creates_room()
        .public()
        .option("name", json!("the shop"));
    let room = room.option("room_alias_name", json!("shop")).await;
    let alias = format!("#shop:{}", alice.server_name());
    let path = v1(&["room_summary", &room.id]);
    bob.get(path.clone()).await.refused(404, "M_NOT_FOUND");
    for call in [
        bob.get(path.clone()).query("via", alice.server_name()),
        bob.get(v1(&["room_summary", &alias])),
    ] {
        let shown = call.await.ok();
        assert_eq!(
            (&shown["name"], &shown["num_joined_members"]),
            (&json!("the shop"), &json!(1))
        );
        assert_eq!(shown["room_version"], "12");
    }
    let nobody = there.get(path).query("via", alice.server_name());
    nobody.await.refused(404, "M_NOT_FOUND");
    let private = alice.creates_room().await;
    let asked = bob
        .get(v1(&["room_summary", &private.id]))
        .query("via", alice.server_name());
    asked.await.refused(404, "M_NOT_FOUND");
}
