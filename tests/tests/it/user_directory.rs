//! Searching for people.

use serde_json::{Value, json};
use tests::{TestServer, User, path::v3};

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

/// The IDs of those who are found, and their names.
async fn finds(user: &User, term: &str) -> Vec<(String, Value)> {
    let answer = user.post(SEARCH, &json!({"search_term": term})).await.ok();
    let results = answer["results"].as_array().expect("a list").iter();
    let one = |found: &Value| {
        let id = found["user_id"].as_str().expect("an ID").to_owned();
        (id, found["display_name"].clone())
    };
    results.map(one).collect()
}

async fn is_called(user: &User, name: &str) {
    let path = v3(&["profile", &user.id, "displayname"]);
    user.put(path, &json!({"displayname": name})).await.ok();
}

#[tokio::test]
async fn people_are_found_who_share_a_room_or_are_in_a_public_one() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, eve, ann] = server.users(["alice", "bobby", "eve", "ann"]).await;
    is_called(&bob, "Robert Ärger").await;
    let found = |user: &User, name: &str| vec![(user.id.clone(), json!(name))];
    assert_eq!(
        finds(&alice, "robert").await,
        [],
        "they have nothing in common"
    );

    let private = alice.creates_room().with([&bob]).await;
    for term in [
        "robert",
        "ROB",
        "rob ärg",
        "ÄRGER",
        "bobb",
        "obert",
        &bob.id,
        &bob.id[..4],
    ] {
        assert_eq!(
            finds(&alice, term).await,
            found(&bob, "Robert Ärger"),
            "{term}"
        );
        assert_eq!(finds(&eve, term).await, [], "{term}");
    }
    for term in ["roberta", "robert eve", "%", "_", "", "@"] {
        assert_eq!(finds(&alice, term).await, [], "{term}");
    }
    assert_eq!(
        finds(&bob, "robert").await,
        [],
        "not oneself, in a private room"
    );

    is_called(&bob, "Bertie").await;
    assert_eq!(finds(&alice, "robert").await, [], "no longer called so");
    assert_eq!(finds(&alice, "bertie").await, found(&bob, "Bertie"));

    bob.leaves(&private).await.ok();
    assert_eq!(finds(&alice, "bertie").await, [], "gone");

    let public = bob.creates_room().public().await;
    for person in [&alice, &eve, &ann, &bob] {
        assert_eq!(
            finds(person, "bertie").await,
            found(&bob, "Bertie"),
            "{}",
            person.id
        );
    }
    let closed = json!({"join_rule": "invite"});
    bob.sets_state(&public, "m.room.join_rules", "", &closed)
        .await
        .ok();
    assert_eq!(finds(&eve, "bertie").await, [], "not public any more");
    let readable = json!({"history_visibility": "world_readable"});
    bob.sets_state(&public, "m.room.history_visibility", "", &readable)
        .await
        .ok();
    assert_eq!(
        finds(&eve, "bertie").await,
        found(&bob, "Bertie"),
        "everybody may read it"
    );
    bob.leaves(&public).await.ok();
    assert_eq!(finds(&eve, "bertie").await, []);
}

/// PROF-06: what somebody calls themselves in one room is nobody's affair outside of it, nor are those who are gone.
#[tokio::test]
async fn names_of_single_rooms_and_the_departed_are_not_found() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let public = alice.creates_room().public().with([&bob, &eve]).await;
    let private = alice.creates_room().with([&bob]).await;
    let secret = json!({"membership": "join", "displayname": "Captain Secret"});
    bob.sets_state(&private, "m.room.member", &bob.id, &secret)
        .await
        .ok();
    bob.sets_state(&public, "m.room.member", &bob.id, &secret)
        .await
        .ok();
    for person in [&alice, &eve] {
        assert_eq!(finds(person, "secret").await, [], "by {}", person.id);
    }
    assert_eq!(finds(&eve, "bob").await.len(), 1);
    let auth = json!({"auth": {
        "type": "m.login.password", "password": bob.password, "identifier": {"type": "m.id.user", "user": bob.id},
    }});
    bob.post("/_matrix/client/v3/account/deactivate", &auth)
        .await
        .ok();
    assert_eq!(finds(&eve, "bob").await, [], "deactivated");
}

#[tokio::test]
async fn a_long_list_of_people_is_cut() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, ann1, ann2, ann3, joanna] = server
        .users(["alice", "ann1", "ann2", "ann3", "joanna"])
        .await;
    let room = alice.creates_room().public().await;
    for person in [&ann1, &ann2, &ann3, &joanna] {
        person.joins(&room).await.ok();
    }
    let first: Vec<String> = finds(&alice, "ann")
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(
        first,
        [&ann1, &ann2, &ann3, &joanna].map(|user| user.id.clone()),
        "beginnings first"
    );
    for (limit, shown, limited) in [(0, 0, true), (2, 2, true), (4, 4, false), (500, 4, false)] {
        let wish = json!({"search_term": "ann", "limit": limit});
        let answer = alice.post(SEARCH, &wish).await.ok();
        assert_eq!(
            answer["results"].as_array().map(Vec::len),
            Some(shown),
            "{limit}"
        );
        assert_eq!(answer["limited"], limited, "{limit}");
    }
    for body in [
        json!({}),
        json!({"search_term": 1}),
        json!({"search_term": "a", "limit": -1}),
    ] {
        alice.post(SEARCH, &body).await.refused(400, "M_BAD_JSON");
    }
}
