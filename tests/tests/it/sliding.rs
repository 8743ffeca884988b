//! Sliding sync: windows over the rooms of a user, MSC4186. Items SSS of the behaviours.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Room, TestServer, User, path::v3};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CURRENT: &str = "/_matrix/client/v4/sync";
const LEGACY: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// One list of all rooms, with this window and so many events of each.
fn all(range: [u64; 2], timeline_limit: u64) -> Value {
    json!({"all": {"range": range, "timeline_limit": timeline_limit, "required_state": {}}})
}

/// A client that goes on where it was.
struct Client<'a> {
    user: &'a User,
    body: Value,
    pos: Option<String>,
}

impl<'a> Client<'a> {
    fn new(user: &'a User, lists: Value) -> Self {
        let body = json!({"lists": lists});
        let pos = None;
        Self { user, body, pos }
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.body[key] = value;
        self
    }

    fn asks(&self, timeout: u64) -> tests::Call {
        let mut body = self.body.clone();
        if let Some(pos) = &self.pos {
            body["pos"] = json!(pos);
        }
        body["timeout"] = json!(timeout);
        self.user.post(CURRENT, &body)
    }

    /// One request, which waits for news only where `timeout` says so.
    async fn syncs(&mut self, timeout: u64) -> Value {
        let answer = self.asks(timeout).await.ok();
        self.pos = answer["pos"].as_str().map(str::to_owned);
        answer
    }

    /// Until there is nothing more to come.
    async fn catches_up(&mut self) {
        while {
            let answer = self.syncs(0).await;
            answer["rooms"]
                .as_object()
                .is_some_and(|rooms| !rooms.is_empty())
        } {}
    }
}

fn ids(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_object();
    let mut ids: Vec<&str> = rooms
        .into_iter()
        .flat_map(|rooms| rooms.keys().map(String::as_str))
        .collect();
    ids.sort_unstable();
    ids
}

fn of<'a>(answer: &'a Value, room: &Room) -> &'a Value {
    &answer["rooms"][room.id.as_str()]
}

fn bodies(room: &Value) -> Vec<&str> {
    let events = room["timeline_events"].as_array();
    let events = events.into_iter().flatten();
    events
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

fn types(room: &Value) -> Vec<&str> {
    let events = room["required_state"].as_array();
    let mut types: Vec<&str> = events
        .into_iter()
        .flatten()
        .filter_map(|event| event["type"].as_str())
        .collect();
    types.sort_unstable();
    types
}

/// SSS-10, SSS-16: the rooms with the newest events are in the window, first whole, then what is new.
#[tokio::test]
async fn a_window_shows_the_rooms_with_the_newest_events() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut rooms = Vec::new();
    for name in ["one", "two", "three"] {
        rooms.push(alice.creates_room().option("name", json!(name)).await);
    }
    let mut client = Client::new(&alice, all([0, 1], 1));
    let first = client.syncs(0).await;
    assert_eq!(first["lists"]["all"]["count"], 3);
    let mut newest = [rooms[1].id.as_str(), rooms[2].id.as_str()];
    newest.sort_unstable();
    assert_eq!(ids(&first), newest);
    let three = of(&first, &rooms[2]);
    assert_eq!(three["initial"], true);
    assert_eq!(three["name"], "three");
    assert_eq!(three["membership"], "join");
    assert_eq!(three["lists"], json!(["all"]));
    assert_eq!(three["joined_count"], 1);
    assert_eq!(three["limited"], true);
    assert_eq!(three["num_live"], 0);

    assert!(ids(&client.syncs(0).await).is_empty(), "nothing is new");
    alice.says(&rooms[2], "hello").await;
    let next = client.syncs(10_000).await;
    assert_eq!(ids(&next), [rooms[2].id.as_str()]);
    let three = of(&next, &rooms[2]);
    assert_eq!(bodies(three), ["hello"]);
    assert_eq!(three["num_live"], 1);
    assert!(three.get("initial").is_none() && three.get("name").is_none());

    // A room comes into the window by what happens in it, and is news then.
    alice.says(&rooms[0], "me too").await;
    let next = client.syncs(10_000).await;
    assert_eq!(ids(&next), [rooms[0].id.as_str()]);
    assert_eq!(of(&next, &rooms[0])["initial"], true);
    assert_eq!(of(&next, &rooms[0])["num_live"], 1);
}

#[tokio::test]
async fn a_request_waits_for_news_and_ends_in_time() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut client = Client::new(&bob, all([0, 9], 10));
    client.catches_up().await;
    let waiting = tokio::spawn(client.asks(25_000).into_future());
    alice.says(&room, "wake up").await;
    let begun = Instant::now();
    let answer = waiting.await.expect("an answer").ok();
    assert_eq!(bodies(of(&answer, &room)), ["wake up"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let nothing = client.user.post(CURRENT, &json!({})).await.ok();
    assert!(ids(&nothing).is_empty(), "no rule, no room");
}

/// SSS-05, SSS-06: the last token may be used again, also with other rules; unknown ones are refused.
#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().await;
    let mut client = Client::new(&alice, all([0, 9], 1));
    client.syncs(0).await;
    let pos = client.pos.clone();
    alice.says(&room, "once").await;
    let lost = client.syncs(5_000).await;
    assert_eq!(bodies(of(&lost, &room)), ["once"]);
    let other = alice.creates_room().await;
    client.pos = pos;
    let again = client.syncs(5_000).await;
    assert_eq!(bodies(of(&again, &room)), ["once"]);
    assert_eq!(of(&again, &other)["initial"], true);
    alice.says(&other, "on").await;
    let on = client.syncs(5_000).await;
    assert_eq!(ids(&on), [other.id.as_str()]);

    let stolen = Client {
        user: &bob,
        body: client.body.clone(),
        pos: client.pos.clone(),
    };
    stolen.asks(0).await.refused(400, "M_UNKNOWN_POS");
    for pos in ["", "garbage", "p1.1.1.1", "s1_1", "p-1.-1.-1.-1"] {
        client.pos = Some(pos.to_owned());
        client.asks(0).await.refused(400, "M_UNKNOWN_POS");
    }
    // A new beginning ends the old connection of that name, and no other.
    let mut named = Client::new(&alice, all([0, 9], 1)).with("conn_id", json!("other"));
    named.syncs(0).await;
    let mut fresh = Client::new(&alice, all([0, 9], 1));
    fresh.syncs(0).await;
    client.pos = on["pos"].as_str().map(str::to_owned);
    client.asks(0).await.refused(400, "M_UNKNOWN_POS");
    named.syncs(0).await;
}

/// SSS-06: whoever hangs up is waited for no longer. The server went on, and could answer over a later request.
#[tokio::test]
async fn who_hangs_up_waits_no_longer() {
    let server = TestServer::start().await;
    if !server.is_own() {
        return;
    }
    let alice = server.user("alice").await;
    let since = alice.syncs().await.next_batch();
    let host = server.connection().base().replace("http://", "");
    let mut connection = TcpStream::connect(&host).await.expect("a connection");
    let request = format!(
        "GET /_matrix/client/v3/sync?since={since}&timeout=60000 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n",
        alice.token,
    );
    let sent = connection.write_all(request.as_bytes()).await;
    sent.expect("the request goes out");
    connection.shutdown().await.expect("half of it is closed");
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), connection.read_to_end(&mut rest));
    closed.await.expect("the server closes the other half").ok();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

/// SSS-06: tokens are good after a restart.
#[tokio::test]
async fn a_connection_outlives_a_restart() {
    let Some(mut server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let [quiet, busy] = [alice.creates_room().await, alice.creates_room().await];
    let mut client = Client::new(&alice, all([0, 9], 2));
    client.catches_up().await;
    alice.says(&busy, "before").await;
    server.kill();
    server.restart().await;
    let next = client.syncs(0).await;
    assert_eq!(ids(&next), [busy.id.as_str()], "{next}");
    assert_eq!(bodies(of(&next, &busy)), ["before"]);
    assert!(of(&next, &busy).get("initial").is_none());
    alice.says(&quiet, "after").await;
    let next = client.syncs(5_000).await;
    assert_eq!(bodies(of(&next, &quiet)), ["after"]);
}

/// A room that falls out of the window with news gets them when it is wanted again.
#[tokio::test]
async fn what_happened_outside_of_the_window_comes_later() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let [one, two] = [alice.creates_room().await, alice.creates_room().await];
    let mut client = Client::new(&alice, all([0, 1], 5));
    client.catches_up().await;
    client.body["lists"] = json!({});
    for number in 0..3 {
        alice.says(&one, &number.to_string()).await;
    }
    assert!(ids(&client.syncs(0).await).is_empty());
    assert!(ids(&client.syncs(0).await).is_empty());
    client.body["lists"] = all([0, 1], 5);
    let back = client.syncs(0).await;
    assert_eq!(ids(&back), [one.id.as_str()]);
    assert_eq!(bodies(of(&back, &one)), ["0", "1", "2"]);
    assert!(of(&back, &one).get("initial").is_none());
    assert_ne!(one.id, two.id);
}

/// SSS-14, SSS-15: subscriptions add to lists; rooms that are not the user's are left out without a word.
#[tokio::test]
async fn subscriptions_reach_beyond_the_window() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let secret = bob.creates_room().await;
    let [old, new] = [
        alice
            .creates_room()
            .option("topic", json!("old things"))
            .await,
        alice.creates_room().await,
    ];
    let wanted =
        json!({"timeline_limit": 3, "required_state": {"include": [{"type": "m.room.topic"}]}});
    let mut client = Client::new(&alice, all([0, 0], 1)).with(
        "room_subscriptions",
        json!({&old.id: wanted, &new.id: wanted, &secret.id: wanted, "!nowhere:here": wanted}),
    );
    let first = client.syncs(0).await;
    let mut expected = [old.id.as_str(), new.id.as_str()];
    expected.sort_unstable();
    assert_eq!(ids(&first), expected);
    assert_eq!(types(of(&first, &old)), ["m.room.topic"]);
    assert!(of(&first, &old).get("lists").is_none());
    let timeline = of(&first, &new)["timeline_events"].as_array();
    assert_eq!(timeline.map(Vec::len), Some(3), "the larger limit counts");
}

/// SSS-17: who wants more of a room than before gets it at once.
#[tokio::test]
async fn a_raised_limit_and_wider_state_come_at_once() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().option("name", json!("here")).await;
    for number in 0..5 {
        alice.says(&room, &number.to_string()).await;
    }
    let mut client = Client::new(&alice, all([0, 9], 1));
    assert_eq!(bodies(of(&client.syncs(0).await, &room)), ["4"]);
    client.body["lists"] = all([0, 9], 3);
    let more = client.syncs(0).await;
    let more = of(&more, &room);
    assert_eq!(bodies(more), ["2", "3", "4"]);
    assert_eq!(more["expanded_timeline"], true);
    assert_eq!(more["num_live"], 0);
    client.body["lists"] = all([0, 9], 2);
    assert!(ids(&client.syncs(0).await).is_empty());
    client.body["lists"] = all([0, 9], 3);
    assert!(ids(&client.syncs(0).await).is_empty(), "these are known");
    client.body["lists"]["all"]["required_state"] =
        json!({"include": [{"type": "m.room.name", "state_key": ""}]});
    let wider = client.syncs(0).await;
    assert_eq!(types(of(&wider, &room)), ["m.room.name"]);
    let same = client.syncs(0).await;
    assert!(ids(&same).is_empty(), "{same}");
}

/// SSS-04, SSS-19: wildcards, exclusions and members as the timeline needs them.
#[tokio::test]
async fn state_comes_as_it_is_required() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let room = alice.creates_room().with([&bob, &carol]).await;
    alice.says(&room, "hello").await;
    let required = json!({
        "include": [{}], "exclude": [{"type": "m.room.create"}], "lazy_members": true,
    });
    let lists = json!({"all": {"timeline_limit": 1, "required_state": required}});
    let mut client = Client::new(&alice, lists);
    let first = client.syncs(0).await;
    let state = of(&first, &room);
    let got = types(state);
    assert!(!got.contains(&"m.room.create") && got.contains(&"m.room.power_levels"));
    let members = |room: &Value| -> Vec<String> {
        let events = room["required_state"].as_array().into_iter().flatten();
        events
            .filter(|event| event["type"] == "m.room.member")
            .filter_map(|event| event["state_key"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(members(state), [alice.id.as_str()]);
    bob.says(&room, "hi").await;
    let next = client.syncs(5_000).await;
    assert_eq!(members(of(&next, &room)), [bob.id.as_str()]);
    bob.says(&room, "again").await;
    let next = client.syncs(5_000).await;
    assert!(members(of(&next, &room)).is_empty(), "that is known");
    carol.leaves(&room).await.ok();
    let next = client.syncs(5_000).await;
    let gone = of(&next, &room);
    assert_eq!(members(gone), [carol.id.as_str()]);
    assert_eq!(gone["joined_count"], 2);
}

#[tokio::test]
async fn names_and_heroes_follow_the_room() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut client = Client::new(&alice, all([0, 9], 5));
    let first = client.syncs(0).await;
    let unnamed = of(&first, &room);
    assert!(unnamed.get("name").is_none());
    assert_eq!(unnamed["heroes"][0]["user_id"], bob.id);
    alice
        .sets_state(&room, "m.room.name", "", &json!({"name": "Us"}))
        .await
        .ok();
    let named = client.syncs(5_000).await;
    assert_eq!(of(&named, &room)["name"], "Us");
    alice
        .sets_state(&room, "m.room.name", "", &json!({}))
        .await
        .ok();
    let unnamed = client.syncs(5_000).await;
    assert_eq!(of(&unnamed, &room)["name"], Value::Null);
    assert!(
        of(&unnamed, &room)
            .as_object()
            .is_some_and(|room| room.contains_key("name"))
    );
    assert_eq!(of(&unnamed, &room)["heroes"][0]["user_id"], bob.id);
}

/// SSS-13, SSS-20, SSS-22: invites show stripped state; leaving shows once; a new invite is one.
#[tokio::test]
async fn invites_and_departures_show_once() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let mut client = Client::new(&bob, all([0, 9], 5));
    client.syncs(0).await;
    let room = alice.creates_room().option("name", json!("Secret")).await;
    alice.says(&room, "not for bob").await;
    alice.invites(&room, &bob).await.ok();
    let invited = client.syncs(5_000).await;
    let invite = of(&invited, &room);
    assert_eq!(
        (&invite["membership"], &invite["initial"]),
        (&json!("invite"), &json!(true))
    );
    let stripped = invite["stripped_state"].as_array().expect("stripped state");
    assert!(
        stripped
            .iter()
            .any(|event| event["content"]["name"] == "Secret")
    );
    for leak in ["timeline_events", "required_state", "joined_count", "name"] {
        assert!(invite.get(leak).is_none(), "{leak} in {invite}");
    }
    bob.joins(&room).await.ok();
    let joined = client.syncs(5_000).await;
    assert_eq!(of(&joined, &room)["initial"], true);
    assert_eq!(of(&joined, &room)["membership"], "join");
    alice.says(&room, "for bob").await;
    alice.kicks(&room, &bob).await.ok();
    alice.says(&room, "behind bob's back").await;
    let kicked = client.syncs(5_000).await;
    let kicked = of(&kicked, &room);
    assert_eq!(kicked["membership"], "leave");
    assert_eq!(bodies(kicked), ["for bob"]);
    assert!(ids(&client.syncs(0).await).is_empty());
    let mut fresh = Client::new(&bob, all([0, 9], 5)).with("conn_id", json!("fresh"));
    let seen = fresh.syncs(0).await;
    assert_eq!(
        bodies(of(&seen, &room)),
        ["not for bob", "for bob"],
        "a kick is always seen, with what was shared before"
    );
    alice.invites(&room, &bob).await.ok();
    let again = client.syncs(5_000).await;
    assert_eq!(of(&again, &room)["membership"], "invite");
    assert!(of(&again, &room)["stripped_state"].is_array());
    bob.leaves(&room).await.ok();
    let refused = client.syncs(5_000).await;
    assert_eq!(of(&refused, &room)["membership"], "leave");
    let mut fresh = Client::new(&bob, all([0, 9], 5)).with("conn_id", json!("fresh"));
    assert!(
        ids(&fresh.syncs(0).await).is_empty(),
        "who left by themselves knows it"
    );
}

/// The counts come with the event that changes them, and with the receipt that resets them.
#[tokio::test]
async fn counts_follow_messages_and_receipts() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let mut client = Client::new(&bob, all([0, 9], 1));
    client.catches_up().await;
    let content = json!({"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [bob.id]}});
    let sent = alice.sends(&room, "m.room.message", &content).await.ok();
    let news = client.syncs(5_000).await;
    let counts = |room: &Value| {
        (
            room["notification_count"].as_u64(),
            room["highlight_count"].as_u64(),
        )
    };
    assert_eq!(counts(of(&news, &room)), (Some(1), Some(1)));
    bob.reads(&room, "m.read", &sent.event_id).await.ok();
    let read = client.syncs(5_000).await;
    assert_eq!(counts(of(&read, &room)), (Some(0), Some(0)));
    assert!(bodies(of(&read, &room)).is_empty());
}

/// SYNC-14: invites of somebody who is ignored are not shown, neither new ones nor old ones.
#[tokio::test]
async fn invites_of_the_ignored_are_hidden() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = bob.creates_room().option("invite", json!([alice.id])).await;
    let mut client = Client::new(&alice, all([0, 9], 1));
    assert_eq!(ids(&client.syncs(0).await), [room.id.as_str()]);
    let ignored = v3(&["user", &alice.id, "account_data", "m.ignored_user_list"]);
    let list = json!({"ignored_users": {&bob.id: {}}});
    alice.put(ignored, &list).await.ok();
    bob.creates_room().option("invite", json!([alice.id])).await;
    let after = client.syncs(0).await;
    assert!(ids(&after).is_empty());
    assert_eq!(after["lists"]["all"]["count"], 0);
}

/// SSS-12.
#[tokio::test]
async fn lists_are_filtered() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let encryption = json!({"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}});
    let plain = alice.creates_room().await;
    let encrypted = alice
        .creates_room()
        .option("initial_state", json!([encryption]))
        .await;
    let space = alice
        .creates_room()
        .option("creation_content", json!({"type": "m.space"}))
        .await;
    let invite = bob.creates_room().option("invite", json!([alice.id])).await;
    alice
        .sets_state(
            &space,
            "m.space.child",
            &plain.id,
            &json!({"via": ["here"]}),
        )
        .await
        .ok();
    let data = v3(&["user", &alice.id, "account_data", "m.direct"]);
    alice
        .put(data, &json!({&bob.id: [encrypted.id]}))
        .await
        .ok();
    let tag = v3(&["user", &alice.id, "rooms", &plain.id, "tags", "m.favourite"]);
    alice.put(tag, &json!({"order": 0.5})).await.ok();
    for (filters, expected) in [
        (json!({}), vec![&plain, &encrypted, &space, &invite]),
        (json!({"is_dm": true}), vec![&encrypted]),
        (json!({"is_dm": false}), vec![&plain, &space, &invite]),
        (json!({"is_encrypted": true}), vec![&encrypted]),
        (json!({"is_invited": true}), vec![&invite]),
        (
            json!({"is_invited": false, "is_encrypted": false}),
            vec![&plain, &space],
        ),
        (json!({"room_types": ["m.space"]}), vec![&space]),
        (
            json!({"room_types": [null, "m.space"], "not_room_types": ["m.space"]}),
            vec![&plain, &encrypted, &invite],
        ),
        (json!({"tags": ["m.favourite"]}), vec![&plain]),
        (
            json!({"tags": ["m.favourite"], "not_tags": ["m.favourite"]}),
            vec![],
        ),
        (
            json!({"not_tags": ["m.favourite"], "is_invited": false}),
            vec![&encrypted, &space],
        ),
        (json!({"spaces": [space.id]}), vec![&plain]),
        (json!({"spaces": [plain.id, "!nowhere:here"]}), vec![]),
    ] {
        let lists =
            json!({"some": {"timeline_limit": 0, "required_state": {}, "filters": filters}});
        let answer = Client::new(&alice, lists).syncs(0).await;
        let mut expected: Vec<&str> = expected.iter().map(|room| room.id.as_str()).collect();
        expected.sort_unstable();
        assert_eq!(ids(&answer), expected, "{filters}");
        assert_eq!(answer["lists"]["some"]["count"], expected.len());
    }
    // A change of `m.direct` is news for a room that is known.
    let mut client = Client::new(&alice, all([0, 9], 0));
    client.catches_up().await;
    let data = v3(&["user", &alice.id, "account_data", "m.direct"]);
    alice.put(data, &json!({&bob.id: [plain.id]})).await.ok();
    let changed = client.syncs(5_000).await;
    assert_eq!(of(&changed, &plain)["is_dm"], true);
    assert_eq!(of(&changed, &encrypted)["is_dm"], false);
}

/// SSS-23, SSS-24.
#[tokio::test]
async fn extensions_come_with_the_room_and_then_with_changes() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let [room, other] = [
        alice.creates_room().with([&bob]).await,
        alice.creates_room().with([&bob]).await,
    ];
    let data = v3(&["user", &alice.id, "account_data", "org.example.mine"]);
    alice.put(data, &json!({"a": 0})).await.ok();
    let event = alice.says(&room, "read this").await;
    bob.reads(&room, "m.read", &event).await.ok();
    let tag = v3(&["user", &alice.id, "rooms", &room.id, "tags", "u.work"]);
    alice.put(tag, &json!({})).await.ok();
    let extensions = json!({
        "account_data": {"enabled": true}, "receipts": {"enabled": true}, "typing": {"enabled": true, "lists": ["all"]},
        "org.example.unknown": {"enabled": true},
    });
    let mut client = Client::new(&alice, all([0, 0], 5)).with("extensions", extensions);
    let first = client.syncs(0).await;
    let extensions = &first["extensions"];
    assert_eq!(ids(&first), [room.id.as_str()]);
    let receipts = &extensions["receipts"]["rooms"][&room.id]["content"];
    assert!(receipts[&event]["m.read"][&bob.id].is_object(), "{first}");
    let data = &extensions["account_data"]["rooms"][&room.id];
    assert_eq!(data[0]["content"]["tags"]["u.work"], json!({}));
    assert!(extensions["account_data"]["global"].is_array());
    assert!(extensions.get("org.example.unknown").is_none());

    bob.types(&room, true).await.ok();
    let typing = client.syncs(10_000).await;
    let who = &typing["extensions"]["typing"]["rooms"][&room.id]["content"]["user_ids"];
    assert_eq!(who, &json!([bob.id]));
    assert!(ids(&typing).is_empty());

    // What happens in a room outside of the window is not shown, but kept for when it comes in.
    let said = alice.says(&other, "and this").await;
    let shifted = client.syncs(10_000).await;
    assert_eq!(ids(&shifted), [other.id.as_str()]);
    let event = alice.says(&other, "or that").await;
    client.syncs(10_000).await;
    bob.reads(&room, "m.read", &event).await.ok();
    bob.reads(&other, "m.read", &said).await.ok();
    let receipts = client.syncs(10_000).await;
    let rooms = receipts["extensions"]["receipts"]["rooms"]
        .as_object()
        .expect("receipts");
    assert_eq!(rooms.keys().collect::<Vec<_>>(), [&other.id]);

    let data = v3(&["user", &alice.id, "account_data", "org.example.mine"]);
    alice.put(data, &json!({"a": 1})).await.ok();
    let changed = client.syncs(10_000).await;
    assert_eq!(
        changed["extensions"]["account_data"]["global"][0]["content"],
        json!({"a": 1})
    );
}

/// SSS-02, SSS-03, SSS-04: the words of the clients of today.
#[tokio::test]
async fn the_older_dialect_is_understood() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let versions = server.get("/_matrix/client/versions").await.ok();
    assert_eq!(
        versions["unstable_features"]["org.matrix.simplified_msc3575"],
        true
    );
    let room = alice
        .creates_room()
        .with([&bob])
        .option("name", json!("Names"))
        .await;
    alice.says(&room, "hello").await;
    let invite = bob.creates_room().option("invite", json!([alice.id])).await;
    let body = json!({
        "conn_id": "room-list",
        "lists": {"all": {
            "ranges": [[0, 19]], "timeline_limit": 1,
            "required_state": [["m.room.create", ""], ["m.room.member", "$ME"], ["m.room.member", "$LAZY"]],
            "filters": {"not_room_types": ["m.space"], "room_name_like": null},
        }},
        "extensions": {"e2ee": {"enabled": true}, "to_device": {"enabled": true}},
    });
    let first = alice.post(LEGACY, &body).await.ok();
    let named = of(&first, &room);
    assert_eq!(named["name"], "Names");
    assert_eq!(named["timeline"][0]["content"]["body"], "hello");
    assert_eq!(types(named), ["m.room.create", "m.room.member"]);
    assert!(named.get("membership").is_none() && named.get("lists").is_none());
    assert!(of(&first, &invite)["invite_state"].is_array());
    assert_eq!(first["lists"]["all"]["count"], 2);
    let operations = json!([{"op": "SYNC", "range": [0, 19], "room_ids": [invite.id, room.id]}]);
    assert_eq!(first["lists"]["all"]["ops"], operations);
    let pos = first["pos"].as_str().expect("pos");
    bob.says(&room, "well").await;
    let next = alice
        .post(LEGACY, &body)
        .query("pos", pos)
        .query("timeout", 5_000)
        .await
        .ok();
    assert_eq!(of(&next, &room)["timeline"][0]["content"]["body"], "well");
    assert_eq!(types(of(&next, &room)), ["m.room.member"]);
    // More of the timeline, and no name any more, which is no name at all.
    let mut more = body.clone();
    more["lists"]["all"]["timeline_limit"] = json!(20);
    alice
        .sets_state(&room, "m.room.name", "", &json!({}))
        .await
        .ok();
    let wider = alice.post(LEGACY, &more).query("pos", pos).await.ok();
    let wider = of(&wider, &room);
    assert_eq!(wider["unstable_expanded_timeline"], true);
    assert!(
        wider.get("name").is_none() && wider["heroes"].is_array(),
        "{wider}"
    );
    let invites =
        json!({"lists": {"invites": {"ranges": [[0, 9]], "filters": {"is_invite": true}}}});
    let invites = alice.post(LEGACY, &invites).await.ok();
    assert_eq!(ids(&invites), [invite.id.as_str()]);
    // Its tokens page through messages.
    let prev = of(&next, &room)["prev_batch"].as_str().expect("prev_batch");
    for from in [prev, pos] {
        let page = alice
            .messages(&room, "b")
            .query("from", from)
            .query("limit", 1)
            .await
            .ok();
        assert_eq!(page["chunk"][0]["content"]["body"], "hello");
    }
}

/// SSS-13, SSS-19, SSS-21.
#[tokio::test]
async fn limited_timelines_are_aggregated_and_strangers_hear_of_no_ban() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = server.users(["alice", "bob", "carol"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let event = alice.says(&room, "frist").await;
    let edit = json!({
        "msgtype": "m.text", "body": "* first", "m.new_content": {"msgtype": "m.text", "body": "first"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event},
    });
    alice.sends(&room, "m.room.message", &edit).await.ok();
    let required = json!({"exclude": [{"type": "m.room.member"}], "lazy_members": true});
    let lists = json!({"all": {"timeline_limit": 2, "required_state": required}});
    let mut client = Client::new(&bob, lists);
    let first = client.syncs(0).await;
    let seen = of(&first, &room);
    assert_eq!(seen["limited"], true);
    let relations = &seen["timeline_events"][0]["unsigned"]["m.relations"];
    assert_eq!(
        relations["m.replace"]["content"]["body"], "* first",
        "{seen}"
    );
    assert_eq!(types(seen), ["m.room.member"], "needed, though excluded");
    // Its tokens page through relations.
    let relation = json!({"rel_type": "m.annotation", "event_id": event, "key": "+1"});
    let reaction = json!({"m.relates_to": relation});
    alice.sends(&room, "m.reaction", &reaction).await.ok();
    let path = format!("/_matrix/client/v1/rooms/{}/relations/{event}", room.id);
    let pos = client.pos.clone().expect("a token");
    let page = bob.get(path).query("from", pos).await.ok();
    let page = page["chunk"].as_array().expect("a page");
    assert_eq!(page.len(), 1, "what was there at the token: {page:?}");

    alice.bans(&room, &carol).await.ok();
    let nothing = Client::new(&carol, all([0, 9], 1)).syncs(0).await;
    assert_eq!(nothing["lists"]["all"]["count"], 0);
}

/// SSS-08, SSS-09 and hostile values.
#[tokio::test]
async fn senseless_requests_are_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let list = || json!({"timeline_limit": 1, "required_state": {}});
    let lists = |count: usize| -> Value {
        (0..count)
            .map(|n| (n.to_string(), list()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let subscriptions: serde_json::Map<_, _> = (0..101)
        .map(|n| (format!("!room{n}:here"), list()))
        .collect();
    for (body, errcode) in [
        (json!({"set_presence": "dancing"}), "M_INVALID_PARAM"),
        (json!({"lists": lists(101)}), "M_INVALID_PARAM"),
        (
            json!({"lists": {"a": {"timeline_limit": 1, "required_state": {}, "range": [5, 2]}}}),
            "M_INVALID_PARAM",
        ),
        (json!({"conn_id": "x".repeat(256)}), "M_INVALID_PARAM"),
        (json!({"lists": {"two words": list()}}), "M_INVALID_PARAM"),
        (json!({"lists": {"": list()}}), "M_INVALID_PARAM"),
        (
            json!({"lists": {"x".repeat(256): list()}}),
            "M_INVALID_PARAM",
        ),
        (
            json!({"room_subscriptions": subscriptions}),
            "M_INVALID_PARAM",
        ),
        (
            json!({"lists": {"a": {"required_state": {}}}}),
            "M_BAD_JSON",
        ),
        (
            json!({"lists": {"a": {"timeline_limit": -1, "required_state": {}}}}),
            "M_BAD_JSON",
        ),
        (
            json!({"room_subscriptions": {"no room": list()}}),
            "M_BAD_JSON",
        ),
        (json!({"timeout": "soon"}), "M_BAD_JSON"),
        (json!({"conn_id": 7}), "M_BAD_JSON"),
    ] {
        alice.post(CURRENT, &body).await.refused(400, errcode);
    }
    // What the older dialect calls a list is anything, but short.
    for (name, status) in [("two words", 200), (&*"x".repeat(65), 400)] {
        let answer = alice.post(LEGACY, &json!({"lists": {name: {}}})).await;
        assert_eq!(answer.status, status, "{}", answer.summary());
    }
    for (count, status) in [(20, 200), (21, 400)] {
        let list =
            json!({"ranges": vec![[0, 9]; count], "timeline_limit": 1, "required_state": []});
        let answer = alice.post(LEGACY, &json!({"lists": {"a": list}})).await;
        assert_eq!(answer.status, status, "{}", answer.summary());
    }
    let long = json!({"lists": {"x".repeat(255): list()}, "conn_id": "x".repeat(255)});
    alice.post(CURRENT, &long).await.ok();
    let far = json!({"lists": {"a": {"timeline_limit": 9_000_000, "required_state": {}, "range": [0, 9_007_199_254_740_991_u64]}}});
    alice.post(CURRENT, &far).await.ok();
    alice
        .post(CURRENT, &json!({"lists": lists(100)}))
        .await
        .ok();
}

/// SSS-07: the number of connections of a device is bounded; the oldest goes.
#[tokio::test]
async fn a_device_has_so_many_connections_and_no_more() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut clients: Vec<Client<'_>> = (0..17)
        .map(|n| Client::new(&alice, all([0, 9], 1)).with("conn_id", json!(format!("c{n}"))))
        .collect();
    for client in &mut clients {
        client.syncs(0).await;
    }
    let mut refused = 0;
    for client in &clients {
        let answer = client.asks(0).await;
        refused += usize::from(answer.status == 400);
    }
    assert_eq!(refused, 1);
    clients[16].syncs(0).await;
}
