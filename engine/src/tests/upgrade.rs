//! Rooms are replaced by others.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedRoomId, RoomAliasId, RoomId};
use serde_json::value::RawValue;
use spec::{
    json::{Object, Value},
    object,
};

use super::{
    federation::{name, pairs, state},
    fixture::{House, Person, houses, target},
};
use crate::{
    CreateRoom, Error, InitialState, Preset, PublicRoomsAsk, Result, SetState, Upgrade,
    account_data::Place,
};

impl Person {
    async fn upgrades(&self, room: &OwnedRoomId, version: &str) -> Result<OwnedRoomId> {
        let ask = Upgrade {
            version: version.to_owned(),
            additional_creators: BTreeSet::new(),
        };
        self.engine.upgrade_room(&self.requester, room, ask).await
    }

    async fn sets(&self, room: &OwnedRoomId, event_type: &str, key: &str, content: Object) {
        let ask = SetState {
            event_type: event_type.to_owned(),
            state_key: key.to_owned(),
            content,
        };
        let room = self.room(room).await;
        room.set_state(&self.requester, ask)
            .await
            .expect("it is set");
    }

    async fn state(&self, room: &OwnedRoomId, event_type: &str, key: &str) -> Option<Object> {
        let room = self.room(room).await;
        let event = room.state_event(&self.requester, event_type, key).await;
        let event: serde_json::Value =
            serde_json::from_str(event.ok()?.json().get()).expect("JSON");
        spec::json::parse_object(
            event["content"].to_string().as_bytes(),
            spec::json::Strictness::Lenient,
        )
        .ok()
    }
}

/// A room with all that goes along, and two who are banned.
async fn furnished(alice: &Person, version: &str, alias: &str) -> OwnedRoomId {
    let state = |event_type: &str, content: Object| InitialState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content,
    };
    let ask = CreateRoom {
        room_version: Some(version.to_owned()),
        preset: Some(Preset::Private),
        published: true,
        alias_localpart: Some(alias.to_owned()),
        name: Some("Lounge".to_owned()),
        topic: Some("Talk".to_owned()),
        creation_content: object! { "m.federate" => false, "type" => "m.space" },
        initial_state: vec![
            state("m.room.avatar", object! { "url" => "mxc://here/a" }),
            state(
                "m.room.encryption",
                object! { "algorithm" => "m.megolm.v1.aes-sha2" },
            ),
            state(
                "m.room.server_acl",
                object! { "allow" => Value::Array(vec![Value::from("*")]) },
            ),
            state(
                "m.room.history_visibility",
                object! { "history_visibility" => "joined" },
            ),
            state("m.room.join_rules", object! { "join_rule" => "public" }),
            state("org.example.own", object! { "a" => 1 }),
        ],
        ..CreateRoom::default()
    };
    let room = alice
        .engine
        .create_room(&alice.requester, ask)
        .await
        .expect("a room");
    let handle = alice.room(&room).await;
    for name in ["eve", "mallory"] {
        let mut banned = target(alice);
        banned.user_id = ruma::UserId::parse(format!("@{name}:there")).unwrap();
        banned.reason = Some("spam".to_owned());
        handle.ban(&alice.requester, banned).await.unwrap();
    }
    room
}

async fn listed(house: &House) -> Vec<OwnedRoomId> {
    let page = house
        .engine
        .public_rooms(None, &PublicRoomsAsk::default())
        .await
        .unwrap();
    page.chunk.into_iter().map(|entry| entry.room_id).collect()
}

/// UPG-02, UPG-04, UPG-06, from the oldest version to the newest, and between the newest.
#[tokio::test]
async fn all_that_belongs_to_a_room_goes_along() {
    for house in houses().await {
        let alice = house.person("alice");
        for (from, to) in [
            ("1", "2"),
            ("6", "11"),
            ("10", "12"),
            ("12", "12"),
            ("12", "11"),
        ] {
            house.clock.advance(1);
            let old = furnished(&alice, from, &format!("lounge{from}.{to}")).await;
            let child = object! { "via" => Value::Array(vec![Value::from("here")]) };
            alice
                .sets(&old, "m.space.child", "!child:here", child.clone())
                .await;
            alice
                .sets(&old, "m.space.child", "!gone:here", Object::new())
                .await;
            let new = alice.upgrades(&old, to).await.expect("alice may");
            let tombstone = alice.state(&old, "m.room.tombstone", "").await.unwrap();
            assert_eq!(
                tombstone["replacement_room"].as_str(),
                Some(new.as_str()),
                "{from} to {to}"
            );
            let create = alice.state(&new, "m.room.create", "").await.unwrap();
            assert_eq!(create["type"].as_str(), Some("m.space"), "{from} to {to}");
            assert_eq!(
                create["m.federate"].as_bool(),
                Some(false),
                "{from} to {to}"
            );
            let predecessor = create["predecessor"].as_object().unwrap();
            assert_eq!(predecessor["room_id"].as_str(), Some(old.as_str()));
            assert_eq!(
                predecessor.contains_key("event_id"),
                to != "12",
                "{from} to {to}"
            );
            for event_type in [
                "m.room.name",
                "m.room.topic",
                "m.room.avatar",
                "m.room.encryption",
                "m.room.server_acl",
                "m.room.history_visibility",
                "m.room.join_rules",
                "m.room.guest_access",
            ] {
                let before = alice.state(&old, event_type, "").await;
                assert!(before.is_some(), "{event_type}");
                assert_eq!(
                    alice.state(&new, event_type, "").await,
                    before,
                    "{event_type} from {from} to {to}"
                );
            }
            assert_eq!(
                alice.state(&new, "m.space.child", "!child:here").await,
                Some(child)
            );
            assert_eq!(alice.state(&new, "m.space.child", "!gone:here").await, None);
            assert_eq!(
                alice.state(&new, "org.example.own", "").await,
                None,
                "nobody asked for that"
            );
            for banned in ["@eve:there", "@mallory:there"] {
                let member = alice
                    .state(&new, "m.room.member", banned)
                    .await
                    .expect("banned there, too");
                assert_eq!(member["membership"].as_str(), Some("ban"));
                assert_eq!(member["reason"].as_str(), Some("spam"));
            }
            let alias = RoomAliasId::parse(format!("#lounge{from}.{to}:here")).unwrap();
            assert_eq!(house.engine.resolve_alias(&alias).await.unwrap().0, new);
            let named = alice
                .state(&new, "m.room.canonical_alias", "")
                .await
                .unwrap();
            assert_eq!(named["alias"].as_str(), Some(alias.as_str()));
            let unnamed = alice
                .state(&old, "m.room.canonical_alias", "")
                .await
                .unwrap();
            assert_eq!(unnamed, Object::new());
            let listed = listed(&house).await;
            assert!(
                listed.contains(&new) && !listed.contains(&old),
                "{from} to {to}: {listed:?}"
            );
            let levels = alice.state(&old, "m.room.power_levels", "").await.unwrap();
            assert_eq!(
                (levels["events_default"].as_i64(), levels["invite"].as_i64()),
                (Some(50), Some(50))
            );
            let levels = alice.state(&new, "m.room.power_levels", "").await.unwrap();
            assert_eq!(
                (levels["events_default"].as_i64(), levels["invite"].as_i64()),
                (Some(0), Some(0))
            );
            let own = levels["users"].as_object().unwrap().get("@alice:here");
            // A creator of version 12 stands above all levels, and so in the lists of other versions.
            let expected = match (from, to) {
                (_, "12") => None,
                ("12", _) => Some(150),
                _ => Some(100),
            };
            assert_eq!(own.and_then(Value::as_i64), expected, "{from} to {to}");
            let tombstone = levels["events"].as_object().unwrap()["m.room.tombstone"].as_i64();
            let expected = if from == "12" || to == "12" { 150 } else { 100 };
            assert_eq!(tombstone, Some(expected), "{from} to {to}");
            alice.says(&new, "hello").await.unwrap();
            alice
                .sets(&new, "m.room.name", "", object! { "name" => "New" })
                .await;
        }
    }
}

/// UPG-01, UPG-03, UPG-05: who may send a tombstone upgrades, has the power to copy everything, and no more than before.
#[tokio::test]
async fn only_those_who_may_send_the_tombstone_upgrade() {
    for house in houses().await {
        let [alice, mod_, bob, eve] = ["alice", "mod", "bob", "eve"].map(|name| house.person(name));
        for (from, to) in [("11", "11"), ("12", "12")] {
            let room = alice.creates(from, Preset::Public).await;
            for person in [&mod_, &bob] {
                person.joins(&room).await.unwrap();
            }
            let levels = object! {
                "users" => match from {
                    "12" => object! { "@mod:here" => 60 },
                    _ => object! { "@alice:here" => 100, "@mod:here" => 60 },
                },
                "events" => object! { "m.room.tombstone" => 60, "m.room.server_acl" => 95 },
                "ban" => 70,
            };
            alice
                .sets(&room, "m.room.power_levels", "", levels.clone())
                .await;
            for person in [&bob, &eve] {
                let refused = person.upgrades(&room, to).await;
                assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
            }
            let refused = alice.upgrades(&room, "no-such-version").await;
            assert!(
                matches!(refused, Err(Error::UnsupportedRoomVersion(_))),
                "{refused:?}"
            );
            let nowhere = RoomId::parse("!nowhere:here").unwrap();
            let refused = alice.upgrades(&nowhere, to).await;
            assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
            assert_eq!(
                alice.state(&room, "m.room.tombstone", "").await,
                None,
                "nothing changed"
            );

            let new = mod_.upgrades(&room, to).await.expect("the moderator may");
            let seen = mod_.state(&new, "m.room.power_levels", "").await.unwrap();
            let users = seen["users"].as_object().unwrap();
            let expected = if to == "12" {
                Object::new()
            } else {
                levels["users"].as_object().unwrap().clone()
            };
            assert_eq!(*users, expected);
            assert_eq!(seen["ban"].as_i64(), Some(70));
            let refused = bob.says(&room, "still here").await;
            assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
            mod_.says(&room, "the last word").await.unwrap();
        }
    }
}

/// UPG-01: a client that asks twice gets one room; somebody else is told; later it is a new wish.
#[tokio::test]
async fn a_repeated_upgrade_is_one() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("11", Preset::TrustedPrivate).await;
        alice.invites(&room, &bob).await.unwrap();
        bob.joins(&room).await.unwrap();
        let levels = object! { "users" => object! { "@alice:here" => 100, "@bob:here" => 100 } };
        alice.sets(&room, "m.room.power_levels", "", levels).await;
        let both =
            futures_util::future::join_all((0..2).map(|_| alice.upgrades(&room, "12"))).await;
        let [first, second] = both.try_into().expect("two");
        let first = first.expect("alice may");
        assert_eq!(second.expect("alice may"), first);
        let refused = bob.upgrades(&room, "12").await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
        house.clock.advance(6 * 60 * 1000);
        let second = bob.upgrades(&room, "12").await.expect("bob may");
        assert_ne!(second, first);
    }
}

/// UPG-01: whatever fails, there is no tombstone without its room. Here the new room has the id of one that exists, as only
/// a clock that stands still can bring about.
#[tokio::test]
async fn a_failed_upgrade_leaves_nothing() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = furnished(&alice, "12", "lounge").await;
        let first = alice.upgrades(&room, "12").await.unwrap();
        let second = alice.upgrades(&room, "11").await.unwrap();
        let failed = alice.upgrades(&room, "12").await;
        assert!(failed.is_err(), "{failed:?}");
        let tombstone = alice.state(&room, "m.room.tombstone", "").await.unwrap();
        assert_eq!(
            tombstone["replacement_room"].as_str(),
            Some(second.as_str())
        );
        let alias = RoomAliasId::parse("#lounge:here").unwrap();
        assert_ne!(
            house.engine.resolve_alias(&alias).await.unwrap().0,
            second,
            "it went with the first"
        );
        alice.says(&first, "hello").await.unwrap();
        house.clock.advance(1);
        alice
            .upgrades(&room, "12")
            .await
            .expect("the room still works");
    }
}

/// A tombstone that names its own room would send clients in circles.
#[tokio::test]
async fn a_room_is_not_replaced_by_itself() {
    for house in houses().await {
        let alice = house.person("alice");
        let room = alice.creates("12", Preset::Private).await;
        let ask = SetState {
            event_type: "m.room.tombstone".to_owned(),
            state_key: String::new(),
            content: object! { "body" => "gone", "replacement_room" => room.as_str() },
        };
        let handle = alice.room(&room).await;
        let refused = handle.set_state(&alice.requester, ask).await;
        assert!(
            matches!(refused, Err(Error::InvalidParam(_))),
            "{refused:?}"
        );
    }
}

/// Tags and direct chats follow each user when they come to the new room.
#[tokio::test]
async fn what_users_have_set_follows_them() {
    for house in houses().await {
        let (alice, bob) = (house.person("alice"), house.person("bob"));
        let room = alice.creates("11", Preset::Public).await;
        bob.joins(&room).await.unwrap();
        let accounts = house.engine.accounts();
        for person in [&alice, &bob] {
            let user_id = person.requester.user_id.clone();
            let info = serde_json::json!({ "order": 0.5 });
            accounts
                .set_tag(&person.requester, (&user_id, &room), "m.favourite", info)
                .await
                .unwrap();
            let direct = format!(r#"{{"@x:there":["{room}"],"@y:there":["!z:there"],"odd":1}}"#);
            let direct = RawValue::from_string(direct).unwrap();
            let place = Place {
                user_id: &user_id,
                room_id: None,
            };
            accounts
                .set_account_data(&person.requester, place, "m.direct", &direct)
                .await
                .unwrap();
        }
        let new = alice.upgrades(&room, "12").await.unwrap();
        for person in [&alice, &bob] {
            let by = &person.requester;
            if by.user_id != alice.requester.user_id {
                let tags = accounts.tags(by, &by.user_id, &new).await.unwrap();
                assert!(tags.is_empty(), "not before they are there");
            }
            let joined = house
                .engine
                .join(by, &new, Vec::new(), None, Object::new())
                .await;
            joined.expect("the room is public");
            let tags = accounts.tags(by, &by.user_id, &new).await.unwrap();
            assert_eq!(tags["m.favourite"]["order"], 0.5);
            let place = Place {
                user_id: &by.user_id,
                room_id: None,
            };
            let direct = accounts.account_data(by, place, "m.direct").await.unwrap();
            let direct: serde_json::Value = serde_json::from_str(direct.get()).unwrap();
            let expected =
                serde_json::json!({"@x:there": [room, new], "@y:there": ["!z:there"], "odd": 1});
            assert_eq!(direct, expected);
        }
    }
}

/// UPG-02: a room that somebody makes by hand to replace another takes its place as soon as both say so; and their tags come
/// along when they make it.
#[tokio::test]
async fn a_room_made_by_hand_takes_the_place_of_another() {
    for house in houses().await {
        let alice = house.person("alice");
        let old = furnished(&alice, "11", "lounge").await;
        let accounts = house.engine.accounts();
        let (by, user_id) = (&alice.requester, alice.requester.user_id.clone());
        let info = serde_json::json!({ "order": 0.5 });
        let tagged = accounts.set_tag(by, (&user_id, &old), "m.favourite", info);
        tagged.await.unwrap();
        let alias = RoomAliasId::parse("#lounge:here").unwrap();
        let create = async |predecessor: &OwnedRoomId| {
            let predecessor = object! { "room_id" => predecessor.as_str(), "event_id" => "$x" };
            let ask = CreateRoom {
                room_version: Some("12".to_owned()),
                preset: Some(Preset::Public),
                creation_content: object! { "predecessor" => predecessor },
                ..CreateRoom::default()
            };
            house.engine.create_room(by, ask).await.unwrap()
        };
        let stranger = create(&RoomId::parse("!another:here").unwrap()).await;
        let new = create(&old).await;
        let tags = accounts.tags(by, &user_id, &new).await.unwrap();
        assert_eq!(tags["m.favourite"]["order"], 0.5);
        for (replacement, leads_to, lists) in [
            // One that replaces another room by its own word.
            (&stranger, &old, vec![]),
            (&new, &new, vec![new.clone()]),
        ] {
            let content = object! { "replacement_room" => replacement.as_str() };
            alice.sets(&old, "m.room.tombstone", "", content).await;
            let (leads, _) = house.engine.resolve_alias(&alias).await.unwrap();
            assert_eq!(leads, *leads_to);
            assert_eq!(listed(&house).await, lists);
        }
    }
}

/// UPG-02: what another server knows and shows of a room follows when one of its users comes to the new one.
#[tokio::test]
async fn aliases_and_list_of_another_server_follow() {
    for pair in pairs().await {
        let (old, alice, bob) = pair.joined_room("11").await;
        let mut operator = bob.requester.clone();
        operator.admin = true;
        let there = bob.room(&old).await;
        there.set_published(&operator, true).await.unwrap();
        let alias = RoomAliasId::parse("#lounge:there").unwrap();
        let engine = &bob.engine;
        engine
            .create_alias(&bob.requester, &alias, &old)
            .await
            .unwrap();
        let new = alice.upgrades(&old, "12").await.unwrap();
        let place = ("m.room.tombstone".to_owned(), String::new());
        let tombstone = state(&alice, &old).await[&place].clone();
        let tombstone = EventId::parse(tombstone).unwrap();
        pair.deliver(&pair.here, &pair.there, &[tombstone]).await;
        assert!(listed(&pair.there).await.is_empty());
        let via = vec![name(&pair.here)];
        let joined = engine.join(&bob.requester, &new, via, None, Object::new());
        joined.await.unwrap();
        assert_eq!(engine.resolve_alias(&alias).await.unwrap().0, new);
        assert_eq!(listed(&pair.there).await, [new]);
    }
}

/// The tombstone comes while somebody joins the room that it names: whichever is first, the aliases follow.
#[tokio::test]
async fn a_tombstone_and_a_join_at_once_do_not_miss_each_other() {
    for pair in pairs().await {
        for round in 0..8 {
            let (old, alice, bob) = pair.joined_room("11").await;
            let alias = RoomAliasId::parse(format!("#lounge{round}:there")).unwrap();
            let engine = &bob.engine;
            let named = engine.create_alias(&bob.requester, &alias, &old);
            named.await.unwrap();
            let new = alice.upgrades(&old, "12").await.unwrap();
            let place = ("m.room.tombstone".to_owned(), String::new());
            let tombstone = state(&alice, &old).await[&place].clone();
            let tombstone = [EventId::parse(tombstone).unwrap()];
            let via = vec![name(&pair.here)];
            let (_, joined) = tokio::join!(
                pair.deliver(&pair.here, &pair.there, &tombstone),
                engine.join(&bob.requester, &new, via, None, Object::new()),
            );
            joined.unwrap();
            assert_eq!(engine.resolve_alias(&alias).await.unwrap().0, new);
        }
    }
}
