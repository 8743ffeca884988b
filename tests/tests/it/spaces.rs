//! Spaces, and what single rooms show from outside.

use serde_json::{Value, json};
use tests::{
    Call, Room, TestServer, User,
    path::{join, v1},
};

/// A new space; everybody may come in.
async fn space(by: &User, name: &str) -> Room {
    let space = by.creates_room().public().option("name", json!(name));
    space
        .option("creation_content", json!({"type": "m.space"}))
        .await
}

async fn named(by: &User, name: &str) -> Room {
    by.creates_room().public().option("name", json!(name)).await
}

/// Puts a room into a space; `more` is added to the link.
async fn links(by: &User, space: &Room, child: &Room, more: Value) {
    let mut content = json!({"via": [by.server_name()]});
    for (key, value) in more.as_object().into_iter().flatten() {
        content[key] = value.clone();
    }
    by.sets_state(space, "m.space.child", &child.id, &content)
        .await
        .ok();
}

fn hierarchy(by: &User, space: &Room) -> Call {
    by.get(v1(&["rooms", &space.id, "hierarchy"]))
}

fn summary(by: &User, room: &str) -> Call {
    by.get(v1(&["room_summary", room]))
}

/// The names of the rooms of a page, in order.
fn names(page: &Value) -> Vec<&str> {
    let rooms = page["rooms"].as_array().expect("rooms").iter();
    rooms
        .map(|room| room["name"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn a_tree_is_walked_depth_first_in_the_order_of_its_links() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let root = space(&alice, "root").await;
    let inner = space(&alice, "inner").await;
    let [leaf, late, first] = [
        named(&alice, "leaf").await,
        named(&alice, "late").await,
        named(&alice, "first").await,
    ];
    links(&alice, &root, &late, json!({"order": "b"})).await;
    links(&alice, &root, &inner, json!({"order": "a"})).await;
    links(&alice, &inner, &leaf, json!({})).await;
    links(&alice, &inner, &first, json!({"order": " "})).await;
    // A circle, a room that is there already, and a link that was cut.
    links(&alice, &inner, &root, json!({})).await;
    links(&alice, &inner, &late, json!({"suggested": true})).await;
    let gone = named(&alice, "gone").await;
    alice
        .sets_state(&root, "m.space.child", &gone.id, &json!({}))
        .await
        .ok();

    let page = hierarchy(&bob, &root).await.ok();
    assert_eq!(names(&page), ["root", "inner", "first", "leaf", "late"]);
    assert!(page.get("next_batch").is_none(), "{page}");
    let top = &page["rooms"][0];
    assert_eq!(
        (&top["room_type"], &top["num_joined_members"]),
        (&json!("m.space"), &json!(1))
    );
    let links: Vec<_> = top["children_state"]
        .as_array()
        .expect("links")
        .iter()
        .collect();
    assert_eq!(links.len(), 2, "{top}");
    assert_eq!(links[0]["state_key"], json!(inner.id));
    assert!(links[0]["origin_server_ts"].is_i64(), "{top}");
    assert_eq!(page["rooms"][2]["children_state"], json!([]));

    let shallow = hierarchy(&bob, &root).query("max_depth", 1).await.ok();
    assert_eq!(names(&shallow), ["root", "inner", "late"]);
    let bare = hierarchy(&bob, &root).query("max_depth", 0).await.ok();
    assert_eq!(names(&bare), ["root"]);
    let suggested = hierarchy(&bob, &inner)
        .query("suggested_only", true)
        .await
        .ok();
    assert_eq!(names(&suggested), ["inner", "late"]);
    let links = suggested["rooms"][0]["children_state"]
        .as_array()
        .map(Vec::len);
    assert_eq!(links, Some(1), "{suggested}");
}

#[tokio::test]
async fn pages_of_a_tree_go_on_where_they_ended() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let root = space(&alice, "root").await;
    for n in 0..5 {
        let room = named(&alice, &format!("room{n}")).await;
        links(&alice, &root, &room, json!({"order": n.to_string()})).await;
    }
    let page = |from: Option<String>| {
        let call = hierarchy(&bob, &root).query("limit", 2);
        match from {
            Some(from) => call.query("from", from),
            None => call,
        }
    };
    let next = |page: &Value| page["next_batch"].as_str().map(str::to_owned);
    let first = page(None).await.ok();
    assert_eq!(names(&first), ["root", "room0"]);
    let second = page(next(&first)).await.ok();
    assert_eq!(names(&second), ["room1", "room2"]);
    let again = page(next(&first)).await.ok();
    assert_eq!(
        names(&again),
        ["room1", "room2"],
        "a page may be asked for again"
    );
    let third = page(next(&second)).await.ok();
    assert_eq!(names(&third), ["room3", "room4"]);
    assert_eq!(next(&third), None);

    let token = next(&first).unwrap_or_default();
    for wrong in [
        page(Some(token.clone())).query("max_depth", 1),
        page(Some(token.clone())).query("suggested_only", true),
        page(Some("no token".to_owned())),
        hierarchy(&alice, &root).query("from", &token),
    ] {
        wrong.await.refused(400, "M_INVALID_PARAM");
    }
    hierarchy(&bob, &root)
        .query("max_depth", -1)
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn rooms_are_seen_by_those_who_could_come_in() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let root = space(&alice, "root").await;
    let club = alice
        .creates_room()
        .with([&bob])
        .option("name", json!("club"))
        .await;
    let allow = json!([{"type": "m.room_membership", "room_id": club.id}]);
    let restricted = named(&alice, "restricted").await;
    let readable = alice
        .creates_room()
        .visibility("world_readable")
        .option("name", json!("readable"))
        .await;
    let invited = alice.creates_room().option("name", json!("invited")).await;
    alice.invites(&invited, &bob).await.ok();
    let knock = named(&alice, "knock").await;
    for (room, rule) in [
        (
            &restricted,
            json!({"join_rule": "restricted", "allow": allow}),
        ),
        (&knock, json!({"join_rule": "knock"})),
    ] {
        alice
            .sets_state(room, "m.room.join_rules", "", &rule)
            .await
            .ok();
    }
    for (n, room) in [&club, &restricted, &readable, &invited, &knock]
        .iter()
        .enumerate()
    {
        links(&alice, &root, room, json!({"order": n.to_string()})).await;
    }
    let seen = hierarchy(&bob, &root).await.ok();
    assert_eq!(
        names(&seen),
        ["root", "club", "restricted", "readable", "invited", "knock"]
    );
    assert_eq!(seen["rooms"][2]["allowed_room_ids"], json!([club.id]));
    assert!(seen["rooms"][0].get("allowed_room_ids").is_none());
    let seen = hierarchy(&eve, &root).await.ok();
    assert_eq!(names(&seen), ["root", "readable", "knock"]);
    let links = seen["rooms"][0]["children_state"].as_array().map(Vec::len);
    assert_eq!(links, Some(5), "the links stay");
    hierarchy(&eve, &club).await.refused(403, "M_FORBIDDEN");
    let nowhere = Room {
        id: "!nowhere:127.0.0.1".to_owned(),
    };
    hierarchy(&eve, &nowhere).await.refused(403, "M_FORBIDDEN");

    for (room, by_bob, by_eve, by_nobody) in [
        (&club, 200, 404, 404),
        (&restricted, 200, 404, 404),
        (&readable, 200, 200, 200),
        (&invited, 200, 404, 404),
        (&knock, 200, 200, 200),
        (&nowhere, 404, 404, 404),
    ] {
        let asked = [
            summary(&bob, &room.id),
            summary(&eve, &room.id),
            summary(&eve, &room.id).anonymous(),
        ];
        let mut statuses = Vec::new();
        for call in asked {
            statuses.push(call.await.status);
        }
        assert_eq!(statuses, [by_bob, by_eve, by_nobody], "{}", room.id);
    }
}

#[tokio::test]
async fn a_summary_says_what_the_room_shows_and_what_one_is_in_it() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let local = server.fresh_name("shop");
    let room = alice
        .creates_room()
        .public()
        .version("11")
        .option("name", json!("the shop"));
    let encryption = json!({"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}});
    let room = room
        .option("initial_state", json!([encryption]))
        .option("room_alias_name", json!(local))
        .await;
    let alias = format!("#{local}:{}", alice.server_name());
    let shown = summary(&bob, &alias).await.ok();
    for (key, value) in [
        ("room_id", json!(room.id)),
        ("name", json!("the shop")),
        ("canonical_alias", json!(alias)),
        ("num_joined_members", json!(1)),
        ("room_version", json!("11")),
        ("encryption", json!("m.megolm.v1.aes-sha2")),
        ("world_readable", json!(false)),
    ] {
        assert_eq!(shown[key], value, "{key} in {shown}");
    }
    assert!(
        shown.get("membership").is_none() && shown.get("topic").is_none(),
        "{shown}"
    );
    let stable = summary(&alice, &room.id).await.ok();
    assert_eq!(stable["membership"], "join");
    for old in [
        &["rooms", &*room.id, "summary"][..],
        &["summary", &*room.id],
    ] {
        let path = join("/_matrix/client/unstable/im.nheko.summary", old);
        assert_eq!(alice.get(path).await.ok(), stable);
    }
    bob.joins(&room).await.ok();
    bob.leaves(&room).await.ok();
    let left = summary(&bob, &room.id).await.ok();
    assert_eq!(
        (&left["membership"], &left["num_joined_members"]),
        (&json!("leave"), &json!(1))
    );
    let unknown = summary(&bob, &format!("#nothing-here:{}", bob.server_name()));
    unknown.await.refused(404, "M_NOT_FOUND");
    let stale = summary(&bob, &room.id).token("wrong").await;
    stale.refused(401, "M_UNKNOWN_TOKEN");
}
