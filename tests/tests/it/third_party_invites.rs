//! Invites of people who are known by an e-mail address. The identity server is one on a script.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use spec::sign::ServerKey;
use tests::{
    Call, Peer, Room, TestServer, User,
    eventually::eventually,
    federation::Neighbourhood,
    path::{join, v3},
    peer::{Ask, Reply, object, value},
};

const ADDRESS: &str = "bob@example.org";
const TOKEN: &str = "the.token_of-bob=";
const ON_BIND: &str = "/_matrix/federation/v1/3pid/onbind";
/// The flag by which a server trusts the identity servers of its machine.
const TRUST: [&str; 2] = ["--identity-server", "127.0.0.1"];

/// An identity server that knows nobody, and stores what it is asked to.
struct Identity {
    peer: Peer,
    /// The key of the one invite that it gives out.
    key: ServerKey,
}

impl Identity {
    async fn start(machine: &Neighbourhood) -> Self {
        let peer = machine.peer().await;
        let key = ServerKey::from_seed(peer.key().server().to_owned(), "0", &rand::random());
        let (name, ephemeral) = (peer.name().to_owned(), key.public_key().to_base64());
        // In the alphabet for URLs, as some identity servers write it.
        let ephemeral = ephemeral.replace('+', "-").replace('/', "_");
        let long_term = peer.key().public_key().to_base64();
        peer.answers("hash_details", |_| {
            Reply::ok(json!({"lookup_pepper": "matrixrocks", "algorithms": ["none", "sha256"]}))
        });
        peer.answers("lookup", |_| Reply::ok(json!({"mappings": {}})));
        peer.answers("store-invite", move |_| {
            let url = |path: &str| format!("https://{name}/_matrix/identity/v2/pubkey/{path}");
            Reply::ok(json!({
                "token": TOKEN, "display_name": "b...@e...", "public_keys": [
                    {"public_key": long_term, "key_validity_url": url("isvalid")},
                    {"public_key": ephemeral, "key_validity_url": url("ephemeral/isvalid")},
                ],
            }))
        });
        peer.answers("pubkey", |_| Reply::ok(json!({"valid": true})));
        Self { peer, key }
    }

    /// What proves that the address belongs to a user, as it is given to them.
    fn proof(&self, sender: &User, user: &str) -> Value {
        let mut signed = object(&json!({"sender": sender.id, "mxid": user, "token": TOKEN}));
        self.key.sign_object(&mut signed);
        value(&signed)
    }

    fn asked(&self, operation: &str) -> Vec<Ask> {
        self.peer.asked(operation)
    }

    /// The body of an invite by the address.
    fn body(&self) -> Value {
        json!({
            "id_server": self.peer.name(), "id_access_token": "token-of-alice", "medium": "email", "address": ADDRESS,
        })
    }

    fn invites(&self, by: &User, room: &Room) -> Call {
        by.post(v3(&["rooms", &room.id, "invite"]), &self.body())
    }

    /// The news that the address belongs to a user, with one invite.
    fn binds(&self, server: &TestServer, room: &Room, proof: &Value) -> Call {
        let invite = json!({
            "medium": "email", "address": ADDRESS, "mxid": proof["mxid"], "room_id": room.id,
            "sender": proof["sender"], "signed": proof,
        });
        let body = json!({"medium": "email", "address": ADDRESS, "mxid": proof["mxid"], "invites": [invite]});
        server.call(Method::PUT, ON_BIND).json(&body)
    }
}

fn joins_by(user: &User, room: &Room, proof: &Value) -> Call {
    user.post(
        v3(&["join", &room.id]),
        &json!({"third_party_signed": proof}),
    )
}

async fn membership(seen_by: &User, room: &Room, of: &str) -> Value {
    let answer = seen_by.state(room, "m.room.member", of).await;
    answer.json()["membership"].clone()
}

/// A server that trusts the identity server.
async fn trusting() -> Option<(Neighbourhood, TestServer, Identity)> {
    let machine = Neighbourhood::new();
    let server = machine.server_with(&TRUST).await?;
    let identity = Identity::start(&machine).await;
    Some((machine, server, identity))
}

#[tokio::test]
async fn an_address_is_invited_and_its_owner_joins() {
    let Some((_machine, server, identity)) = trusting().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for version in ["1", "6", "11", "12"] {
        let room = alice.creates_room().version(version);
        let room = room.option("name", json!("A name")).await;
        identity.invites(&alice, &room).await.ok();
        let issued = alice.state(&room, "m.room.third_party_invite", TOKEN);
        let issued = issued.await.ok();
        assert_eq!(issued["display_name"], "b...@e...", "{issued}");
        assert_eq!(issued["public_keys"].as_array().map(Vec::len), Some(2));
        bob.joins(&room).await.refused(403, "M_FORBIDDEN");

        let start = bob.syncs().await.next_batch();
        joins_by(&bob, &room, &identity.proof(&alice, &bob.id))
            .await
            .ok();
        assert_eq!(membership(&alice, &room, &bob.id).await, "join");
        let seen = bob.syncs().since(&start).await;
        assert!(seen.joined(&room).is_some(), "{seen:?}");
        // Again, as clients do.
        joins_by(&bob, &room, &identity.proof(&alice, &bob.id))
            .await
            .ok();
    }
    let stored = identity.asked("store-invite");
    assert_eq!(stored.len(), 4);
    assert_eq!(stored[0].authorization, "Bearer token-of-alice");
    for (key, expected) in [
        ("address", ADDRESS),
        ("medium", "email"),
        ("sender", &*alice.id),
        ("room_name", "A name"),
        ("room_join_rules", "invite"),
    ] {
        assert_eq!(stored[0].body[key], expected, "{}", stored[0].body);
    }
    for looked_up in identity.asked("lookup") {
        let body = looked_up.body.to_string();
        assert!(!body.contains("example.org"), "in the clear: {body}");
        assert_eq!(looked_up.body["algorithm"], "sha256");
    }
    let checked = identity.asked("pubkey");
    assert_eq!(checked.len(), 4, "once for each invite");
    let key = identity.key.public_key().to_base64();
    let key = key.replace('+', "-").replace('/', "_");
    assert_eq!(checked[0].parameter("public_key"), Some(&*key));
}

#[tokio::test]
async fn an_address_that_is_known_is_invited_as_its_user() {
    let Some((_machine, server, identity)) = trusting().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let known = bob.id.clone();
    identity.peer.answers("lookup", move |ask| {
        let address = ask.body["addresses"][0].as_str().unwrap_or_default();
        Reply::ok(json!({"mappings": {address: known}}))
    });
    let room = alice.creates_room().await;
    identity.invites(&alice, &room).await.ok();
    assert_eq!(membership(&alice, &room, &bob.id).await, "invite");
    assert!(identity.asked("store-invite").is_empty());
    bob.joins(&room).await.ok();
    identity
        .invites(&alice, &room)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_room_is_created_with_an_invite_of_an_address() {
    let Some((_machine, server, identity)) = trusting().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let create = |invite: Value| {
        let body = json!({"invite_3pid": [invite]});
        alice.post("/_matrix/client/v3/createRoom", &body)
    };
    let room = Room::of(&create(identity.body()).await.ok());
    joins_by(&bob, &room, &identity.proof(&alice, &bob.id))
        .await
        .ok();
    let mut elsewhere = identity.body();
    elsewhere["id_server"] = json!("id.elsewhere.example");
    let before = alice.get(v3(&["joined_rooms"])).await.ok();
    create(elsewhere).await.refused(403, "M_SERVER_NOT_TRUSTED");
    let after = alice.get(v3(&["joined_rooms"])).await.ok();
    assert_eq!(before, after, "nothing was made");
}

#[tokio::test]
async fn invites_by_address_are_refused_before_anybody_hears_of_them() {
    let Some((machine, server, identity)) = trusting().await else {
        return;
    };
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let levels = alice.state(&room, "m.room.power_levels", "");
    let mut levels = levels.await.ok();
    levels["invite"] = json!(50);
    alice
        .sets_state(&room, "m.room.power_levels", "", &levels)
        .await
        .ok();
    for person in [&bob, &eve] {
        identity
            .invites(person, &room)
            .await
            .refused(403, "M_FORBIDDEN");
    }
    let with = |key: &str, value: &str| {
        let mut body = identity.body();
        body[key] = json!(value);
        alice.post(v3(&["rooms", &room.id, "invite"]), &body)
    };
    with("id_server", "id.elsewhere.example")
        .await
        .refused(403, "M_SERVER_NOT_TRUSTED");
    for (key, value) in [
        ("id_server", "https://127.0.0.1/"),
        ("medium", "pigeon"),
        ("address", "bob"),
        ("id_access_token", "a\r\nb"),
    ] {
        with(key, value).await.refused(400, "M_INVALID_PARAM");
    }
    for operation in ["hash_details", "lookup", "store-invite"] {
        assert!(identity.asked(operation).is_empty(), "{operation}");
    }
    let Some(plain) = machine.server().await else {
        return;
    };
    let dave = plain.user("dave").await;
    let room = dave.creates_room().await;
    identity
        .invites(&dave, &room)
        .await
        .refused(403, "M_FORBIDDEN");
    assert!(identity.asked("hash_details").is_empty());
}

#[tokio::test]
async fn an_identity_server_refuses_fails_or_answers_nonsense() {
    let Some((_machine, server, identity)) = trusting().await else {
        return;
    };
    let alice = server.user("alice").await;
    let room = alice.creates_room().await;
    let refused = async |status: u16, errcode: &str, why: &str| {
        let answer = identity.invites(&alice, &room).await;
        let found = (answer.status, answer.errcode());
        assert_eq!(found, (status, Some(errcode.to_owned())), "{why}");
    };
    let peer = &identity.peer;
    peer.answers("hash_details", |_| {
        Reply::refused(403, "M_TERMS_NOT_SIGNED")
    });
    refused(403, "M_TERMS_NOT_SIGNED", "terms").await;
    peer.answers("hash_details", |_| Reply::refused(401, "M_UNAUTHORIZED"));
    refused(403, "M_FORBIDDEN", "a bad token").await;
    peer.answers("hash_details", |_| Reply::HangUp);
    refused(502, "M_UNKNOWN", "it hangs up").await;
    peer.answers("hash_details", |_| Reply::Json(500, json!({})));
    refused(502, "M_UNKNOWN", "it fails").await;
    peer.answers("hash_details", |_| {
        Reply::ok(json!({"algorithms": "sha256"}))
    });
    refused(502, "M_UNKNOWN", "nonsense").await;
    peer.answers("hash_details", |_| {
        Reply::ok(json!({"lookup_pepper": "", "algorithms": ["sha256"]}))
    });
    peer.answers("lookup", |_| Reply::ok(json!({"mappings": []})));
    refused(502, "M_UNKNOWN", "mappings that are none").await;
    peer.answers("lookup", |_| Reply::ok(json!({"mappings": {}})));
    peer.answers("store-invite", |_| Reply::refused(400, "M_UNRECOGNIZED"));
    refused(400, "M_UNRECOGNIZED", "a medium that it does not know").await;
    for (token, keys) in [("a/b", json!([])), ("abc", json!([{"public_key": "none"}]))] {
        peer.answers("store-invite", move |_| {
            Reply::ok(json!({"token": token, "display_name": "b", "public_keys": keys}))
        });
        refused(502, "M_UNKNOWN", "an invite that is none").await;
    }
    let state = alice.get(v3(&["rooms", &room.id, "state"])).await.ok();
    let state = state.as_array().expect("events");
    assert!(
        state
            .iter()
            .all(|event| event["type"] != "m.room.third_party_invite")
    );
}

#[tokio::test]
async fn a_proof_that_proves_nothing_opens_no_door() {
    let Some((_machine, server, identity)) = trusting().await else {
        return;
    };
    let [alice, bob, eve] = server.users(["alice", "bob", "eve"]).await;
    let room = alice.creates_room().await;
    identity.invites(&alice, &room).await.ok();
    let proof = identity.proof(&alice, &bob.id);
    let changed = |key: &str, value: Value| {
        let mut changed = proof.clone();
        changed[key] = value;
        changed
    };
    joins_by(&eve, &room, &proof)
        .await
        .refused(403, "M_FORBIDDEN");
    for (what, wrong) in [
        ("a stolen one", changed("mxid", json!(eve.id))),
        ("another token", changed("token", json!("another"))),
        ("another inviter", changed("sender", json!(bob.id))),
        ("no signature", changed("signatures", json!({}))),
        (
            "a signature of something else",
            changed("extra", json!("text")),
        ),
    ] {
        let user = if wrong["mxid"] == json!(eve.id) {
            &eve
        } else {
            &bob
        };
        let answer = joins_by(user, &room, &wrong).await;
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (403, Some("M_FORBIDDEN")),
            "{what}: {}",
            answer.summary()
        );
    }
    for wrong in [json!("text"), json!({}), changed("mxid", json!("bob"))] {
        joins_by(&bob, &room, &wrong)
            .await
            .refused(400, "M_BAD_JSON");
    }
    assert!(
        identity.asked("pubkey").is_empty(),
        "only what is signed is asked about"
    );
    assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null);
    joins_by(&bob, &room, &proof).await.ok();
}

#[tokio::test]
async fn a_key_that_is_not_valid_opens_no_door() {
    let Some((_machine, server, identity)) = trusting().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    identity.invites(&alice, &room).await.ok();
    let proof = identity.proof(&alice, &bob.id);
    let peer = &identity.peer;
    let forbidden = (403, "M_FORBIDDEN");
    let trouble = (502, "M_UNKNOWN");
    type Answers = fn(&Ask) -> Reply;
    let cases: [(&str, Answers, (u16, &str)); 6] = [
        ("revoked", |_| Reply::ok(json!({"valid": false})), forbidden),
        ("says nothing", |_| Reply::ok(json!({})), forbidden),
        ("unknown", |_| Reply::refused(404, "M_NOT_FOUND"), forbidden),
        ("hangs up", |_| Reply::HangUp, trouble),
        ("fails", |_| Reply::Json(500, json!({})), trouble),
        (
            "without an end",
            |_| Reply::Endless(b"{\"a\":\"".to_vec(), vec![b'a'; 65_536]),
            trouble,
        ),
    ];
    for (what, reply, (status, errcode)) in cases {
        peer.answers("pubkey", reply);
        let answer = joins_by(&bob, &room, &proof).await;
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (status, Some(errcode)),
            "{what}: {}",
            answer.summary()
        );
    }
    peer.answers("pubkey", |_| Reply::Silence);
    let since = Instant::now();
    joins_by(&bob, &room, &proof)
        .await
        .refused(502, "M_UNKNOWN");
    assert!(since.elapsed().as_secs() < 30);
    assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null);
    peer.answers("pubkey", |_| Reply::ok(json!({"valid": true})));

    // Alice takes the invite back, and gives another.
    let revoked = alice.sets_state(&room, "m.room.third_party_invite", TOKEN, &json!({}));
    revoked.await.ok();
    joins_by(&bob, &room, &proof)
        .await
        .refused(403, "M_FORBIDDEN");
    identity.invites(&alice, &room).await.ok();
    let blocks = v3(&[
        "user",
        &bob.id,
        "account_data",
        "m.invite_permission_config",
    ]);
    let block = json!({"default_action": "block"});
    bob.put(blocks.clone(), &block).await.ok();
    joins_by(&bob, &room, &proof)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    bob.put(blocks, &json!({})).await.ok();
    alice.bans(&room, &bob).await.ok();
    joins_by(&bob, &room, &proof)
        .await
        .refused(403, "M_FORBIDDEN");
    alice.unbans(&room, &bob).await.ok();
    joins_by(&bob, &room, &proof).await.ok();
}

/// Two servers, of which the first trusts the identity server.
async fn two() -> Option<(Neighbourhood, TestServer, TestServer, Identity)> {
    let machine = Neighbourhood::new();
    let here = machine.server_with(&TRUST).await?;
    let there = machine.server().await?;
    let identity = Identity::start(&machine).await;
    Some((machine, here, there, identity))
}

#[tokio::test]
async fn a_bound_address_brings_its_invites_from_another_server() {
    let Some((_machine, here, there, identity)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    for version in ["1", "10", "12"] {
        let room = alice.creates_room().version(version).await;
        identity.invites(&alice, &room).await.ok();
        let start = bob.syncs().await.next_batch();
        let proof = identity.proof(&alice, &bob.id);
        let mut wrong = proof.clone();
        wrong["token"] = json!("another");
        identity.binds(&there, &room, &wrong).await.ok();
        assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null);

        identity.binds(&there, &room, &proof).await.ok();
        bob.syncs_when(&start, |seen| seen.invited(&room).cloned())
            .await;
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(member["membership"], "invite", "in {version}");
        let shown = &member["third_party_invite"]["display_name"];
        assert_eq!(shown, "b...@e...", "in {version}");
        bob.joins(&room).await.ok();
        // It is told again: nothing happens.
        identity.binds(&there, &room, &proof).await.ok();
        assert_eq!(membership(&alice, &room, &bob.id).await, "join");
    }
    let nobody = format!("@nobody:{}", bob.server_name());
    let room = alice.creates_room().await;
    let nobodys = identity.proof(&alice, &nobody);
    identity
        .binds(&there, &room, &nobodys)
        .await
        .refused(404, "M_NOT_FOUND");
    let own = identity.proof(&alice, &alice.id);
    identity
        .binds(&there, &room, &own)
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_proof_opens_a_room_of_another_server() {
    let Some((_machine, here, there, identity)) = two().await else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = alice.creates_room().await;
    identity.invites(&alice, &room).await.ok();
    let proof = identity.proof(&alice, &bob.id);
    let joins = |proof: &Value| joins_by(&bob, &room, proof).query("via", here.name());
    let mut wrong = proof.clone();
    wrong["token"] = json!("another");
    joins(&wrong).await.refused(403, "M_FORBIDDEN");
    identity
        .peer
        .answers("pubkey", |_| Reply::ok(json!({"valid": false})));
    joins(&proof).await.refused(403, "M_FORBIDDEN");
    identity
        .peer
        .answers("pubkey", |_| Reply::ok(json!({"valid": true})));
    joins(&proof).await.ok();
    assert_eq!(membership(&alice, &room, &bob.id).await, "join");
}

/// The server of whoever has the address is in the room: it makes the invite itself, and tells that of the inviter.
#[tokio::test]
async fn a_server_in_the_room_exchanges_the_invite_itself() {
    let Some((_machine, here, there, identity)) = two().await else {
        return;
    };
    let alice = here.user("alice").await;
    let [bob, dave] = there.users(["bob", "dave"]).await;
    for version in ["1", "10", "12"] {
        let room = alice.creates_room().version(version).await;
        alice.invites(&room, &dave).await.ok();
        dave.joins(&room).await.ok();
        identity.invites(&alice, &room).await.ok();
        eventually("the third-party invite", async || {
            let issued = dave.state(&room, "m.room.third_party_invite", TOKEN).await;
            (issued.status == 200).then_some(())
        })
        .await;
        let proof = identity.proof(&alice, &bob.id);
        identity.binds(&there, &room, &proof).await.ok();
        assert_eq!(membership(&dave, &room, &bob.id).await, "invite");
        eventually("the invite, where it was given", async || {
            (membership(&alice, &room, &bob.id).await == "invite").then_some(())
        })
        .await;
        bob.joins(&room).await.ok();
        let said = bob.says(&room, "hello").await;
        alice.syncs_until(&room, &said).await;
    }
}

/// A peer asks for the exchange: what is none is refused, and what is one is an invite.
#[tokio::test]
async fn other_servers_exchange_invites() {
    let Some((machine, server, identity)) = trusting().await else {
        return;
    };
    let alice = server.user("alice").await;
    let peer = machine.peer().await;
    let carol = peer.user("carol");
    let room = alice.creates_room().version("11").await;
    identity.invites(&alice, &room).await.ok();
    let uri = join(
        "/_matrix/federation/v1",
        &["exchange_third_party_invite", &room.id],
    );
    let good = |user: &str| {
        let invite = json!({"display_name": "x", "signed": identity.proof(&alice, user)});
        json!({
            "type": "m.room.member", "room_id": room.id, "sender": alice.id, "state_key": user,
            "content": {"membership": "invite", "third_party_invite": invite},
        })
    };
    let asks = |body: &Value| peer.asks(&server, Method::PUT, &uri, Some(body));
    let changed = |pointer: &str, value: Value| {
        let mut body = good(&carol);
        *body.pointer_mut(pointer).expect("a place") = value;
        body
    };
    let invalid = (400, "M_INVALID_PARAM");
    let forbidden = (403, "M_FORBIDDEN");
    let signed = "/content/third_party_invite/signed";
    for (what, body, (status, errcode)) in [
        (
            "another type",
            changed("/type", json!("m.room.message")),
            invalid,
        ),
        (
            "another room",
            changed("/room_id", json!("!a:b.example")),
            invalid,
        ),
        (
            "another membership",
            changed("/content/membership", json!("join")),
            invalid,
        ),
        (
            "another user",
            changed("/state_key", json!(alice.id)),
            invalid,
        ),
        ("a user of another server", good(&alice.id), forbidden),
        ("no sender", changed("/sender", json!("alice")), invalid),
        (
            "nothing signed",
            changed(signed, json!([])),
            (400, "M_BAD_JSON"),
        ),
        (
            "another inviter",
            changed("/sender", json!(carol)),
            forbidden,
        ),
        (
            "another token",
            changed(&format!("{signed}/token"), json!("another")),
            forbidden,
        ),
        (
            "a wrong signature",
            changed(
                &format!("{signed}/signatures"),
                json!({"a": {"ed25519:0": "AAAA"}}),
            ),
            forbidden,
        ),
    ] {
        let answer = asks(&body).await;
        assert_eq!(
            (answer.status, answer.errcode().as_deref()),
            (status, Some(errcode)),
            "{what}: {}",
            answer.summary()
        );
    }
    assert!(peer.asked("invite").is_empty());
    asks(&good(&carol)).await.ok();
    assert_eq!(membership(&alice, &room, &carol).await, "invite");
    let invites = peer.asked("invite");
    assert_eq!(invites.len(), 1);
    let sent = &invites[0].body["event"];
    assert_eq!(sent["sender"], json!(alice.id));
    assert_eq!(
        sent["content"]["third_party_invite"]["display_name"],
        "b...@e..."
    );
    peer.joins(&server, &room, &carol).await;

    let unknown = join(
        "/_matrix/federation/v1",
        &["exchange_third_party_invite", "!unknown:elsewhere.example"],
    );
    let mut body = good(&carol);
    body["room_id"] = json!("!unknown:elsewhere.example");
    peer.asks(&server, Method::PUT, &unknown, Some(&body))
        .await
        .refused(404, "M_NOT_FOUND");
}
