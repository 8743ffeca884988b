//! Two servers: who they are to each other, and rooms that both are in.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Room, TestServer, User, api::Api, federation::Neighbourhood, path::v3, server::binary,
};

/// Two servers that can reach each other.
async fn two() -> Option<(Neighbourhood, TestServer, TestServer)> {
    let neighbourhood = Neighbourhood::new();
    let (here, there) = (neighbourhood.server().await?, neighbourhood.server().await?);
    Some((neighbourhood, here, there))
}

/// `user → membership`, as somebody sees it.
async fn membership(seen_by: &User, room: &Room, of: &User) -> Value {
    let state = seen_by.state(room, "m.room.member", &of.id).await.ok();
    state["membership"].clone()
}

#[tokio::test]
async fn a_room_is_joined_through_another_server() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    for version in ["1", "6", "10", "11", "12"] {
        let room = alice.creates_room().public().version(version).await;
        let said = alice.says(&room, "before bob").await;
        bob.joins_via(&room, alice.server_name()).await.ok();

        assert_eq!(
            membership(&alice, &room, &bob).await,
            "join",
            "in {version}"
        );
        assert_eq!(
            membership(&bob, &room, &alice).await,
            "join",
            "in {version}"
        );
        let create = bob.state(&room, "m.room.create", "").await.ok();
        assert_eq!(create["room_version"].as_str().unwrap_or("1"), version);
        assert!(!said.is_empty());

        bob.leaves(&room).await.ok();
    }
}

#[tokio::test]
async fn an_invite_reaches_a_user_of_another_server() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let start = bob.syncs().await.next_batch();
    let room = alice.creates_room().await;
    alice.invites(&room, &bob).await.ok();
    let (_, seen) = bob
        .syncs_when(&start, |seen| seen.invited(&room).cloned())
        .await;
    bob.joins(&room).await.ok();
    assert_eq!(membership(&alice, &room, &bob).await, "join");

    let refused = alice.creates_room().await;
    alice.invites(&refused, &bob).await.ok();
    bob.syncs_when(&seen, |seen| seen.invited(&refused).cloned())
        .await;
    bob.leaves(&refused).await.ok();
    assert_eq!(membership(&alice, &refused, &bob).await, "leave");
}

#[tokio::test]
async fn nobody_joins_elsewhere_without_leave() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().await;
    let answer = bob.joins_via(&room, alice.server_name()).await;
    answer.refused(403, "M_FORBIDDEN");
    let nowhere = bob.post(v3(&["join", "!nobody:nowhere.invalid"]), &json!({}));
    assert_eq!(nowhere.await.status, 404);
}

#[tokio::test]
async fn an_alias_of_another_server_leads_to_its_room() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().public().await;
    let alias = format!("#place:{}", alice.server_name());
    let place = v3(&["directory", "room", &alias]);
    alice
        .put(place.clone(), &json!({"room_id": room.id}))
        .await
        .ok();
    let found = bob.get(place).await.ok();
    assert_eq!(found["room_id"], json!(room.id));
    assert_eq!(found["servers"], json!([alice.server_name()]));
    bob.post(v3(&["join", &alias]), &json!({})).await.ok();
    assert_eq!(membership(&alice, &room, &bob).await, "join");
}

#[tokio::test]
async fn a_server_tells_the_keys_of_another() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let bob = there.user("bob").await;
    let theirs = there.get("/_matrix/key/v2/server").await.ok();
    let ids: Vec<_> = theirs["verify_keys"]
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    let (key_id, key) = ids.first().expect("a key");

    let all = json!({"server_keys": {bob.server_name(): {}}});
    let one = json!({"server_keys": {bob.server_name(): {*key_id: {"minimum_valid_until_ts": 0}}}});
    for asked in [all, one] {
        let told = here.post("/_matrix/key/v2/query", &asked).await.ok();
        let document = &told["server_keys"][0];
        assert_eq!(document["server_name"], json!(bob.server_name()), "{told}");
        assert_eq!(document["verify_keys"][key_id], **key, "{told}");
        let signers = document["signatures"].as_object().expect("signatures");
        assert_eq!(signers.len(), 2, "by its server and by the notary");
    }
    let unknown = json!({"server_keys": {"nowhere.invalid": {}}});
    let told = here.post("/_matrix/key/v2/query", &unknown).await.ok();
    assert_eq!(told["server_keys"], json!([]));
}

#[tokio::test]
async fn nothing_between_servers_is_done_for_those_who_did_not_sign() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let signed = Api::get().operations().iter().filter(|o| o.signed);
    for operation in signed {
        let path = operation.path.replace(['{', '}'], "x");
        let method: Method = operation.method.parse().expect("a method");
        let answer = server.call(method, path).await;
        assert_eq!(answer.status, 401, "{}: {}", operation.id, answer.summary());
        assert_eq!(answer.errcode().as_deref(), Some("M_UNAUTHORIZED"));
    }
}

#[tokio::test]
async fn the_operator_can_check_another_server() {
    let Some((machine, here, _there)) = two().await else {
        return;
    };
    let name = here.user("alice").await.server_name().to_owned();
    let check = |name: &str, flags: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["federation", "check", name]).args(flags);
        let done = command.output().expect("the command runs");
        let text = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let ca = machine.file("cert.pem");
    let allowed = ["--allow-address", "127.0.0.0/8", "--trusted-ca", &ca];
    let (well, text) = check(&name, &allowed);
    assert!(
        well && text.contains("Rookery") && text.contains("step 1"),
        "{text}"
    );
    let (well, text) = check(&name, &[]);
    assert!(
        !well && text.contains("federation.allow_addresses"),
        "{text}"
    );
    let (well, text) = check(&name, &allowed[..2]);
    assert!(!well && text.contains("does not prove to be"), "{text}");
    let (well, text) = check("no name", &[]);
    assert!(!well && text.contains("no name"), "{text}");
}

#[tokio::test]
async fn the_public_rooms_of_another_server_are_shown() {
    let Some((_machine, here, there)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let ours = json!({"m.federate": false});
    for (name, content) in [("red", json!({})), ("green", json!({})), ("ours", ours)] {
        let room = alice
            .creates_room()
            .public()
            .option("visibility", json!("public"));
        let room = room.option("creation_content", content);
        room.option("name", json!(name)).await;
    }
    let list = "/_matrix/client/v3/publicRooms";
    let name = |page: &Value| page["chunk"][0]["name"].clone();
    let first = bob
        .get(list)
        .query("server", alice.server_name())
        .query("limit", 1);
    let first = first.await.ok();
    assert_eq!(name(&first), "green", "the youngest: {first}");
    let next = first["next_batch"].as_str().unwrap_or_default();
    let second = bob
        .get(list)
        .query("server", alice.server_name())
        .query("since", next);
    let second = second.await.ok();
    assert_eq!(
        second["chunk"].as_array().map(Vec::len),
        Some(1),
        "{second}"
    );
    assert_eq!(name(&second), "red");

    let asked = json!({"filter": {"generic_search_term": "GREEN"}});
    let found = bob.post(list, &asked).query("server", alice.server_name());
    let found = found.await.ok();
    assert_eq!(
        (found["chunk"].as_array().map(Vec::len), name(&found)),
        (Some(1), json!("green"))
    );
    let wrong = bob
        .get(list)
        .query("server", alice.server_name())
        .query("since", "no token");
    assert_eq!(wrong.await.status, 502);
    let nowhere = bob.post(list, &json!({})).query("server", "127.0.0.1:1");
    assert_eq!(nowhere.await.status, 502);
}
