//! Making rooms.

use serde_json::{Value, json};
use tests::{Room, TestServer, User, path::v3};

const CREATE: &str = "/_matrix/client/v3/createRoom";
const VERSIONS: [&str; 3] = ["10", "11", "12"];

/// The types of the room's first events, oldest first.
async fn first_types(user: &User, room: &Room) -> Vec<String> {
    let events = user.all_messages(room, "f", 50).await;
    events
        .iter()
        .map(|event| event["type"].as_str().expect("a type").to_owned())
        .collect()
}

#[tokio::test]
async fn a_new_room_has_its_events_in_the_order_of_the_specification() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for version in VERSIONS {
        let alias = server.fresh_name(&format!("lounge{version}"));
        let room = alice
            .creates_room()
            .version(version)
            .option("name", json!("Lounge"))
            .option("topic", json!("Talk"))
            .option("room_alias_name", json!(alias))
            .option("invite", json!([bob.id]))
            .option(
                "initial_state",
                json!([{"type": "org.example.first", "content": {"a": 1}}]),
            )
            .await;
        let expected = [
            "m.room.create",
            "m.room.member",
            "m.room.power_levels",
            "m.room.canonical_alias",
            "m.room.join_rules",
            "m.room.history_visibility",
            "m.room.guest_access",
            "org.example.first",
            "m.room.name",
            "m.room.topic",
            "m.room.member",
        ];
        let mut types = first_types(&alice, &room).await;
        // The order among the events of the preset is not given.
        types[4..7].sort();
        let mut sorted = expected.map(str::to_owned);
        sorted[4..7].sort();
        assert_eq!(types, sorted, "version {version}");
        let create = alice.state(&room, "m.room.create", "").await.ok();
        assert_eq!(create["room_version"], version);
        assert_eq!(create.get("creator").is_some(), version == "10", "{create}");
        assert_eq!(room.id.contains(':'), version != "12", "{}", room.id);
        assert_eq!(
            alice.state(&room, "m.room.name", "").await.ok(),
            json!({"name": "Lounge"})
        );
        assert_eq!(
            alice.state(&room, "m.room.topic", "").await.ok()["topic"],
            "Talk"
        );
    }
}

#[tokio::test]
async fn the_default_version_is_twelve() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    let versions = &capabilities["capabilities"]["m.room_versions"];
    assert_eq!(versions["default"], "12");
    for version in VERSIONS {
        assert_eq!(versions["available"][version], "stable", "{versions}");
    }
    let room = alice.creates_room().await;
    assert_eq!(
        alice.state(&room, "m.room.create", "").await.ok()["room_version"],
        "12"
    );
}

#[tokio::test]
async fn presets_say_who_may_enter_and_read() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    for (options, join_rule, guests) in [
        (json!({"preset": "private_chat"}), "invite", "can_join"),
        (
            json!({"preset": "trusted_private_chat"}),
            "invite",
            "can_join",
        ),
        (json!({"preset": "public_chat"}), "public", "forbidden"),
        (json!({}), "invite", "can_join"),
        (json!({"visibility": "public"}), "public", "forbidden"),
    ] {
        let room = Room::of(&alice.post(CREATE, &options).await.ok());
        let state = async |event_type: &str, key: &str| {
            alice.state(&room, event_type, "").await.ok()[key].clone()
        };
        assert_eq!(
            state("m.room.join_rules", "join_rule").await,
            join_rule,
            "{options}"
        );
        assert_eq!(
            state("m.room.history_visibility", "history_visibility").await,
            "shared",
            "{options}"
        );
        // Absent is forbidden.
        let access = alice.state(&room, "m.room.guest_access", "").await;
        let access = if access.status == 404 {
            json!("forbidden")
        } else {
            access.ok()["guest_access"].clone()
        };
        assert_eq!(access, guests, "{options}");
    }
    for version in VERSIONS {
        let room = alice
            .creates_room()
            .version(version)
            .option("preset", json!("trusted_private_chat"))
            .with([&bob])
            .await;
        let topic = json!({"topic": "bob's"});
        bob.sets_state(&room, "m.room.topic", "", &topic).await.ok();
        if version == "12" {
            let create = alice.state(&room, "m.room.create", "").await.ok();
            assert_eq!(create["additional_creators"], json!([bob.id]));
        }
    }
    // Whom the creator names besides is one of them, and nobody is twice.
    let named = json!(["@zoe:elsewhere.example", bob.id]);
    let room = alice
        .creates_room()
        .version("12")
        .option("preset", json!("trusted_private_chat"))
        .option("creation_content", json!({"additional_creators": named}))
        .with([&bob])
        .await;
    let create = alice.state(&room, "m.room.create", "").await.ok();
    let creators = create["additional_creators"].as_array().expect("a list");
    assert_eq!(creators.len(), 2, "{create}");
    for creator in named.as_array().expect("a list") {
        assert!(creators.contains(creator), "{create}");
    }
}

#[tokio::test]
async fn power_levels_are_spelt_out_and_can_be_overridden() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for version in VERSIONS {
        let room = alice
            .creates_room()
            .version(version)
            .option(
                "power_level_content_override",
                json!({"events_default": 20, "org.example": true}),
            )
            .await;
        let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
        assert_eq!(
            (&levels["events_default"], &levels["org.example"]),
            (&json!(20), &json!(true))
        );
        for key in [
            "ban",
            "kick",
            "redact",
            "invite",
            "state_default",
            "users_default",
            "events",
            "users",
        ] {
            assert!(levels.get(key).is_some(), "no {key} in {levels}");
        }
        if version == "12" {
            assert!(
                levels["users"].get(&alice.id).is_none(),
                "creators stand above: {levels}"
            );
            let tombstone = levels["events"]["m.room.tombstone"].as_i64();
            assert!(tombstone > levels["state_default"].as_i64(), "{levels}");
        } else {
            assert_eq!(levels["users"][&alice.id], 100);
        }
    }
    // Who lists others and forgets themselves is not locked out.
    let users = json!({"users": {"@bob:elsewhere.example": 50}});
    let room = alice
        .creates_room()
        .version("11")
        .option("power_level_content_override", users)
        .await;
    let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
    let expected = json!({"@bob:elsewhere.example": 50, alice.id.clone(): 100});
    assert_eq!(levels["users"], expected);
}

#[tokio::test]
async fn creation_content_is_kept_but_not_what_the_server_says() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let content = json!({"m.federate": false, "type": "m.space", "org.example": {"deep": [1, 2]}, "creator": "@eve:evil", "room_version": "1"});
    for version in VERSIONS {
        let room = alice
            .creates_room()
            .version(version)
            .option("creation_content", content.clone())
            .await;
        let create = alice.state(&room, "m.room.create", "").await.ok();
        assert_eq!(
            (
                &create["m.federate"],
                &create["type"],
                &create["org.example"]
            ),
            (&json!(false), &json!("m.space"), &content["org.example"])
        );
        assert_eq!(create["room_version"], version);
        if version == "10" {
            assert_eq!(create["creator"], alice.id);
        }
    }
}

#[tokio::test]
async fn name_and_topic_win_over_initial_state_and_the_preset_loses_to_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let initial = json!([
        {"type": "m.room.name", "state_key": "", "content": {"name": "from the state"}},
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}},
        {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
    ]);
    let room = alice
        .creates_room()
        .option("name", json!("from the option"))
        .option("initial_state", initial)
        .await;
    assert_eq!(
        alice.state(&room, "m.room.name", "").await.ok()["name"],
        "from the option"
    );
    let visibility = alice
        .state(&room, "m.room.history_visibility", "")
        .await
        .ok();
    assert_eq!(visibility["history_visibility"], "joined");
    alice.state(&room, "m.room.encryption", "").await.ok();
}

#[tokio::test]
async fn a_topic_is_there_in_both_forms() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.creates_room().option("topic", json!("Talk")).await;
    let topic = alice.state(&room, "m.room.topic", "").await.ok();
    assert_eq!(topic["topic"], "Talk");
    let plain = &topic["m.topic"]["m.text"][0];
    assert_eq!(plain["body"], "Talk", "{topic}");
    // What a client writes itself stays as it is.
    let written = json!([{"type": "m.room.topic", "state_key": "", "content": {"topic": "Talk"}}]);
    let room = alice.creates_room().option("initial_state", written).await;
    let topic = alice.state(&room, "m.room.topic", "").await.ok();
    assert_eq!(topic, json!({"topic": "Talk"}));
}

#[tokio::test]
async fn a_room_that_cannot_be_is_refused_and_leaves_nothing() {
    // Synapse takes some of these, and fails at others.
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let alice = server.user("alice").await;
    let alias = server.fresh_name("taken");
    alice
        .creates_room()
        .option("room_alias_name", json!(alias))
        .await;
    let rooms = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    let in_use = format!("#{alias}:{}", alice.server_name());
    let initially = |event_type: &str, content: Value| json!({"initial_state": [{"type": event_type, "state_key": "", "content": content}]});
    for (options, errcode) in [
        (json!({"room_alias_name": alias}), "M_ROOM_IN_USE"),
        (
            json!({"room_version": "no-such-version"}),
            "M_UNSUPPORTED_ROOM_VERSION",
        ),
        (json!({"room_version": 12}), "M_BAD_JSON"),
        (json!({"invite": "@bob:localhost"}), "M_BAD_JSON"),
        (json!({"invite": ["bob"]}), ""),
        (json!({"preset": "no_such_chat"}), ""),
        (json!({"room_alias_name": "a:b"}), ""),
        (
            json!({"initial_state": [{"type": "m.room.create", "content": {}}]}),
            "M_INVALID_ROOM_STATE",
        ),
        (json!({"initial_state": {"type": "m.room.name"}}), ""),
        (
            json!({"power_level_content_override": {"users": {alice.id.clone(): 100}}}),
            "M_INVALID_PARAM",
        ),
        (
            json!({"room_version": "9", "power_level_content_override": {"ban": "50"}}),
            "M_BAD_JSON",
        ),
        (
            initially("m.room.canonical_alias", json!({"alias": in_use})),
            "M_BAD_ALIAS",
        ),
        (
            initially(
                "m.room.canonical_alias",
                json!({"alt_aliases": ["nonsense"]}),
            ),
            "M_INVALID_PARAM",
        ),
        (
            initially("m.room.server_acl", json!({"allow": ["elsewhere.example"]})),
            "M_UNKNOWN",
        ),
        (
            initially("m.room.retention", json!({"max_lifetime": "long"})),
            "",
        ),
        (
            json!({"invite": vec!["@bob:elsewhere.example"; 101]}),
            "M_INVALID_PARAM",
        ),
        (
            json!({"initial_state": vec![json!({"type": "a.b", "content": {}}); 201]}),
            "M_INVALID_PARAM",
        ),
    ] {
        let answer = alice.post(CREATE, &options).await;
        let found = answer.errcode().unwrap_or_default();
        assert_eq!(answer.status, 400, "{options}: {}", answer.summary());
        assert!(
            found == errcode || errcode.is_empty(),
            "{options}: {}",
            answer.summary()
        );
    }
    let after = alice.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(after, rooms, "half a room is left");
}

#[tokio::test]
async fn a_direct_chat_says_so_in_its_invites() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice
        .creates_room()
        .option("is_direct", json!(true))
        .option("invite", json!([bob.id]))
        .await;
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["is_direct"]),
        (&json!("invite"), &json!(true))
    );
}

#[tokio::test]
async fn rooms_come_and_go_in_the_list_of_joined_rooms() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let list =
        async || alice.get("/_matrix/client/v3/joined_rooms").await.ok()["joined_rooms"].clone();
    assert_eq!(list().await, json!([]));
    let room = alice.creates_room().await;
    assert_eq!(list().await, json!([room.id]));
    alice.leaves(&room).await.ok();
    assert_eq!(list().await, json!([]));
}

#[tokio::test]
async fn a_room_is_never_seen_half_built() {
    let server = TestServer::start().await;
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let since = bob.syncs().await.next_batch();
    let waiting = bob
        .watches(&since, |sync| {
            sync.0["rooms"]["invite"].as_object().cloned()
        })
        .await;
    let room = alice
        .creates_room()
        .option("name", json!("All at once"))
        .option("invite", json!([bob.id]))
        .await;
    let (invites, _) = waiting.await.expect("the sync answers");
    let state = invites[&room.id]["invite_state"]["events"].clone();
    let types: Vec<&Value> = state
        .as_array()
        .expect("events")
        .iter()
        .map(|event| &event["type"])
        .collect();
    for expected in [
        "m.room.create",
        "m.room.join_rules",
        "m.room.name",
        "m.room.member",
    ] {
        assert!(
            types.iter().any(|found| *found == expected),
            "no {expected} in {types:?}"
        );
    }
    alice.get(v3(&["rooms", &room.id, "state"])).await.ok();
}
