//! Events that relate to others: threads, edits, reactions, polls.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, path::v1};

fn related(rel_type: &str, parent: &str) -> Value {
    json!({"msgtype": "m.text", "body": "related", "m.relates_to": {"rel_type": rel_type, "event_id": parent}})
}

async fn replies(user: &User, room: &Room, root: &str) -> String {
    let content = related("m.thread", root);
    user.sends(room, "m.room.message", &content)
        .await
        .ok()
        .event_id
}

/// The count of the thread that this event begins, as `events` say.
fn replies_in(events: &[Value], root: &str) -> Value {
    let event = events.iter().find(|event| event["event_id"] == root);
    event.map_or(Value::Null, |event| {
        event["unsigned"]["m.relations"]["m.thread"]["count"].clone()
    })
}

#[tokio::test]
async fn a_root_carries_its_thread_wherever_it_is_served() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let root = alice.says(&room, "root").await;
    let reply = replies(&bob, &room, &root).await;
    replies(&alice, &room, &root).await;

    let of_event = |event: Value| replies_in(&[event], &root);
    assert_eq!(of_event(alice.event(&room, &root).await.ok()), 2);
    assert_eq!(
        replies_in(&alice.all_messages(&room, "b", 50).await, &root),
        2
    );
    let context = alice
        .get(tests::path::v3(&["rooms", &room.id, "context", &reply]))
        .await
        .ok();
    let before = context["events_before"].as_array().expect("a list");
    assert_eq!(replies_in(before, &root), 2);
    let context = alice
        .get(tests::path::v3(&["rooms", &room.id, "context", &root]))
        .await
        .ok();
    assert_eq!(of_event(context["event"].clone()), 2);
    let threads = alice.get(v1(&["rooms", &room.id, "threads"])).await.ok();
    assert_eq!(
        replies_in(threads["chunk"].as_array().expect("a list"), &root),
        2
    );
    let limited = json!({"room": {"timeline": {"limit": 3}}});
    let sync = alice.syncs().filter(&limited).await;
    assert_eq!(replies_in(sync.events(&room, "timeline"), &root), 2);
}

#[tokio::test]
async fn children_are_listed_and_those_of_hidden_events_are_not() {
    let server = TestServer::start().await;
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let room = alice.creates_room().await;
    let poll = json!({"org.matrix.msc3381.poll.start": {"question": {"org.matrix.msc1767.text": "?"}, "answers": []}});
    let poll = alice
        .sends(&room, "org.matrix.msc3381.poll.start", &poll)
        .await
        .ok()
        .event_id;
    let mut votes = Vec::new();
    for answer in ["a", "b", "c"] {
        let vote = json!({
            "org.matrix.msc3381.poll.response": {"answers": [answer]},
            "m.relates_to": {"rel_type": "m.reference", "event_id": poll},
        });
        let vote = alice
            .sends(&room, "org.matrix.msc3381.poll.response", &vote)
            .await
            .ok()
            .event_id;
        votes.push(vote);
    }
    let bundle = &alice.event(&room, &poll).await.ok()["unsigned"]["m.relations"]["m.reference"];
    assert_eq!(bundle["chunk"].as_array().map(Vec::len), Some(3));
    let path = v1(&[
        "rooms",
        &room.id,
        "relations",
        &poll,
        "m.reference",
        "org.matrix.msc3381.poll.response",
    ]);
    let first = alice.get(&*path).query("limit", 2).await.ok();
    let second = alice
        .get(&*path)
        .query("from", first["next_batch"].as_str().expect("a token"))
        .await
        .ok();
    let ids = [&first, &second]
        .map(|page| page["chunk"].as_array().expect("a list").clone())
        .concat();
    let ids: Vec<&str> = ids
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect();
    votes.reverse();
    assert_eq!(ids, votes);
    let all = v1(&["rooms", &room.id, "relations", &poll]);
    let recursed = alice.get(&*all).query("recurse", "true").await.ok();
    assert!(
        recursed["recursion_depth"].as_u64() >= Some(3),
        "{recursed}"
    );
    eve.get(&*all).await.refused(404, "M_NOT_FOUND");
    alice
        .get(v1(&["rooms", &room.id, "relations", "$nothing"]))
        .await
        .refused(404, "M_NOT_FOUND");
    alice
        .get(&*all)
        .query("from", "garbage")
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
    eve.get(v1(&["rooms", &room.id, "threads"]))
        .await
        .refused(403, "M_FORBIDDEN");
    alice
        .get(v1(&["rooms", &room.id, "threads"]))
        .query("include", "none")
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_relates_in_a_way_that_no_client_may_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let root = alice.says(&room, "root").await;
    let reply = replies(&alice, &room, &root).await;
    let nested = related("m.thread", &reply);
    alice
        .sends(&room, "m.room.message", &nested)
        .await
        .refused(400, "M_UNKNOWN");
    let reaction =
        json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "👍"}});
    alice.sends(&room, "m.reaction", &reaction).await.ok();
    alice
        .sends(&room, "m.reaction", &reaction)
        .await
        .refused(400, "M_DUPLICATE_ANNOTATION");
    let missing = related("m.reference", "$nothing");
    alice.sends(&room, "m.room.message", &missing).await.ok();
}
