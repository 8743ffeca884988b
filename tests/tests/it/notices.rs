//! Notices of the server to its users, and what else administrators see.

use serde_json::{Value, json};
use tests::{TestServer, path::v3};

const PATH: &str = "/_synapse/admin/v1/send_server_notice";
const REPORTS: &str = "/_synapse/admin/v1/event_reports";

fn notice(to: &str, body: &str) -> Value {
    json!({"user_id": to, "content": {"msgtype": "m.text", "body": body}})
}

/// Behaviour MOD-10.
#[tokio::test]
async fn a_user_gets_notices_in_a_room_that_cannot_be_rejected() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let admin = server.admin().await;
    let sent = |txn: &str| {
        let path = format!("{PATH}/{txn}");
        admin.put(path, &notice(&alice.id, "maintenance tonight"))
    };
    let first = sent("one").await.ok()["event_id"].clone();
    assert_eq!(sent("one").await.ok()["event_id"], first, "a repetition");
    let sync = alice.syncs().await;
    let invites = sync.0["rooms"]["invite"].as_object().expect("an invite");
    assert_eq!(invites.len(), 1);
    let room = invites.keys().next().expect("one").clone();
    for (path, body) in [(v3(&["rooms", &room, "leave"]), json!({}))] {
        let refused = alice.post(path, &body).await;
        refused.refused_by_us(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
    }
    let member = v3(&["rooms", &room, "state", "m.room.member", &alice.id]);
    let leaves = json!({"membership": "leave"});
    alice
        .put(member, &leaves)
        .await
        .refused_by_us(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");

    alice.post(v3(&["join", &room]), &json!({})).await.ok();
    let sync = alice.syncs().await;
    let joined = &sync.0["rooms"]["join"][&room];
    let has = |section: &str, wanted: &dyn Fn(&Value) -> bool| {
        let events = joined[section]["events"].as_array().expect("a list");
        events.iter().any(wanted)
    };
    assert!(has("timeline", &|event| event["content"]["body"]
        == "maintenance tonight"));
    assert!(has("account_data", &|data| {
        data["content"]["tags"]["m.server_notice"].is_object()
    }));
    let answer = v3(&["rooms", &room, "send", "m.room.message", "x"]);
    let answer = alice
        .put(answer, &json!({"msgtype": "m.text", "body": "why?"}))
        .await;
    answer.refused(403, "M_FORBIDDEN");

    alice
        .post(v3(&["rooms", &room, "leave"]), &json!({}))
        .await
        .ok();
    admin.post(PATH, &notice(&alice.id, "again")).await.ok();
    let sync = alice.syncs().await;
    assert!(
        sync.0["rooms"]["invite"][&room].is_object(),
        "the same room"
    );

    for body in [notice(&alice.id, "x"), json!({})] {
        let refused = alice.post(PATH, &body).await;
        refused.refused_by_us(403, "M_FORBIDDEN");
    }
    for (to, status, code) in [
        ("@nobody:localhost", 404, "M_NOT_FOUND"),
        ("@bob:elsewhere.example", 400, "M_INVALID_PARAM"),
        ("nobody", 400, "M_BAD_JSON"),
    ] {
        admin
            .post(PATH, &notice(to, "x"))
            .await
            .refused_by_us(status, code);
    }
    let taken = json!({"username": tests::server::NOTICES_USER, "password": "a long password"});
    let register = server.post("/_matrix/client/v3/register", &taken).await;
    register.refused_by_us(400, "M_USER_IN_USE");
    let without = json!({"user_id": alice.id});
    admin
        .post(PATH, &without)
        .await
        .refused_by_us(400, "M_BAD_JSON");
}

/// Behaviour MOD-11.
#[tokio::test]
async fn administrators_read_what_was_reported_though_it_was_redacted() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let admin = server.admin().await;
    let room = alice.creates_room().with([&bob]).await;
    for body in ["spam", "more spam"] {
        let event = alice.says(&room, body).await;
        let path = v3(&["rooms", &room.id, "report", &event]);
        bob.post(path, &json!({"reason": body})).await.ok();
        alice.redacts(&room, &event).await.ok();
    }
    let page = admin.get(REPORTS).query("limit", 1).await.ok();
    let reports = page["event_reports"].as_array().expect("a list");
    assert_eq!(
        (reports.len(), &page["total"], &page["next_token"]),
        (1, &json!(2), &json!(1))
    );
    let report = &reports[0];
    assert_eq!(
        (&report["reason"], &report["user_id"], &report["sender"]),
        (&json!("more spam"), &json!(bob.id), &json!(alice.id))
    );
    let one = format!("{REPORTS}/{}", report["id"]);
    let whole = admin.get(one.clone()).await.ok();
    assert_eq!(whole["event_json"]["content"]["body"], "more spam");
    let of_nobody = admin
        .get(REPORTS)
        .query("user_id", "@nobody:localhost")
        .await
        .ok();
    assert_eq!(of_nobody["total"], 0);

    bob.get(REPORTS).await.refused_by_us(403, "M_FORBIDDEN");
    bob.get(one.clone()).await.refused_by_us(403, "M_FORBIDDEN");
    bob.delete(one.clone())
        .await
        .refused_by_us(403, "M_FORBIDDEN");
    admin
        .get(REPORTS)
        .query("dir", "x")
        .await
        .refused_by_us(400, "M_INVALID_PARAM");
    admin.delete(one.clone()).await.ok();
    admin.get(one).await.refused_by_us(404, "M_NOT_FOUND");
}

/// Behaviour MOD-01.
#[tokio::test]
async fn administrators_are_told_of_reports() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let admin = server.admin().await;
    let [alice, eve] = server.users(["alice", "eve"]).await;
    let since = admin.syncs().await.next_batch();
    let body = json!({"reason": "sells things"});
    eve.post(v3(&["users", &alice.id, "report"]), &body)
        .await
        .ok();
    let invited = |sync: &tests::sync::Sync| {
        let invites = sync.0["rooms"]["invite"].as_object()?;
        invites.keys().next().cloned()
    };
    let (room, since) = admin.syncs_when(&since, invited).await;
    let join = admin.post(v3(&["join", &room]), &json!({})).await;
    join.ok();
    let told = |sync: &tests::sync::Sync| {
        let events = sync.0["rooms"]["join"][&room]["timeline"]["events"].as_array()?;
        let mut bodies = events
            .iter()
            .filter_map(|event| event["content"]["body"].as_str());
        bodies.next().map(str::to_owned)
    };
    let (told, _) = admin.syncs_when(&since, told).await;
    let expected = format!("{} reports the user {}: sells things", eve.id, alice.id);
    assert_eq!(told, expected);
}
