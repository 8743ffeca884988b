//! Searching one's rooms.

use serde_json::{Value, json};
use tests::{TestServer, User, path::v3};

async fn searches(user: &User, criteria: Value) -> Value {
    let body = json!({"search_categories": {"room_events": criteria}});
    let found = user.post(v3(&["search"]), &body).await.ok();
    found["search_categories"]["room_events"].clone()
}

fn bodies(found: &Value) -> Vec<&str> {
    let results = found["results"].as_array().expect("a list").iter();
    results
        .filter_map(|result| result["result"]["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn people_find_what_was_said_in_their_rooms_and_nothing_else() {
    let server = TestServer::start().await;
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let name = json!({"displayname": "Bob"});
    bob.put(v3(&["profile", &bob.id, "displayname"]), &name)
        .await
        .ok();
    let room = alice.creates_room().with([&bob]).await;
    let needle = server.fresh_name("needle");
    alice.says(&room, &format!("first {needle}")).await;
    let last = bob.says(&room, &format!("last {needle}")).await;
    let recent = json!({"search_term": needle, "order_by": "recent", "keys": ["content.body"]});
    let found = searches(&alice, recent.clone()).await;
    assert_eq!(
        bodies(&found),
        [format!("last {needle}"), format!("first {needle}")]
    );
    assert_eq!(
        (&found["count"], &found["highlights"]),
        (&json!(2), &json!([needle]))
    );
    assert!(bodies(&searches(&eve, recent.clone()).await).is_empty());

    let mut criteria = recent.clone();
    criteria["event_context"] =
        json!({"before_limit": 1, "after_limit": 0, "include_profile": true});
    criteria["groupings"] = json!({"group_by": [{"key": "room_id"}, {"key": "sender"}]});
    criteria["include_state"] = json!(true);
    criteria["filter"] = json!({"limit": 1});
    let found = searches(&alice, criteria.clone()).await;
    let context = &found["results"][0]["context"];
    assert_eq!(context["events_before"].as_array().map(Vec::len), Some(1));
    assert_eq!(context["events_after"], json!([]));
    assert_eq!(context["profile_info"][&bob.id]["displayname"], "Bob");
    assert_eq!(found["groups"]["sender"][&bob.id]["results"], json!([last]));
    assert!(
        found["state"][&room.id]
            .as_array()
            .is_some_and(|state| state.len() > 3)
    );
    let body = json!({"search_categories": {"room_events": criteria}});
    let next = found["next_batch"].as_str().expect("a token");
    let next = alice
        .post(v3(&["search"]), &body)
        .query("next_batch", next)
        .await
        .ok();
    assert_eq!(
        bodies(&next["search_categories"]["room_events"]),
        [format!("first {needle}")]
    );

    bob.redacts(&room, &last).await.ok();
    assert_eq!(
        bodies(&searches(&alice, recent).await),
        [format!("first {needle}")]
    );
}

#[tokio::test]
async fn what_is_no_search_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let search = |criteria: Value| {
        alice.post(
            v3(&["search"]),
            &json!({"search_categories": {"room_events": criteria}}),
        )
    };
    search(json!({})).await.refused_by_us(400, "M_BAD_JSON");
    search(json!({"search_term": "x", "order_by": "luck"}))
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
    search(json!({"search_term": "x", "keys": ["content.secret"]}))
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
    search(json!({"search_term": "x", "filter": {"related_by_rel_types": 1}}))
        .await
        .refused_by_us(400, "M_BAD_JSON");
    search(json!({"search_term": "x"}))
        .query("next_batch", "garbage")
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
    for hostile in ["\"", "' OR 1=1 --", "NEAR(", "*", "\\%_"] {
        search(json!({"search_term": hostile})).await.ok();
    }
}
