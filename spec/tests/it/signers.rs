//! Who must have signed what: server-server API, "Validating hashes and signatures on received events"; room
//! versions 1, 3, 5 and 8.

use std::collections::BTreeMap;

use ruma::{ServerName, UserId};
use spec::{
    event::Event,
    fixture::{RoomFixture, Say, server_key, text},
    json::{Object, Value},
    object,
    policy::{self, PolicyServer},
    sign::{
        Content, KeyRing, PublishedKey, ServerKey, SignatureError, verify_event, verify_events,
    },
};

const ALICE: &str = "@alice:a.example";

#[derive(Default)]
struct Keys(BTreeMap<(String, String), PublishedKey>);

impl Keys {
    fn with(mut self, key: &ServerKey, valid_until_ts: i64, expired_ts: Option<i64>) -> Self {
        let published = PublishedKey {
            key: key.public_key(),
            valid_until_ts,
            expired_ts,
        };
        self.0.insert(
            (key.server().to_string(), key.key_id().to_owned()),
            published,
        );
        self
    }
}

impl KeyRing for Keys {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<PublishedKey> {
        self.0
            .get(&(server.to_string(), key_id.to_owned()))
            .copied()
    }
}

fn key(server: &str) -> ServerKey {
    server_key(&ServerName::parse(server).unwrap())
}

fn other_key(server: &str, version: &str) -> ServerKey {
    ServerKey::from_seed(ServerName::parse(server).unwrap(), version, &[9; 32])
}

fn missing(server: &str) -> Result<Content, SignatureError> {
    Err(SignatureError::Missing(ServerName::parse(server).unwrap()))
}

fn wrong(server: &str) -> Result<Content, SignatureError> {
    Err(SignatureError::Wrong(ServerName::parse(server).unwrap()))
}

/// The event with these signatures more.
fn signed(room: &RoomFixture, event: &Event, keys: &[&ServerKey]) -> Event {
    let mut object = event.object().clone();
    for key in keys {
        key.sign_event(room.version(), &mut object);
    }
    Event::parse(room.version(), object).unwrap()
}

fn unsigned(room: &RoomFixture, event: &Event) -> Event {
    let mut object = event.object().clone();
    object.insert("signatures".to_owned(), Object::new().into());
    Event::parse(room.version(), object).unwrap()
}

#[test]
fn the_senders_server_must_have_signed() {
    for version in ["1", "3", "6", "12"] {
        let room = RoomFixture::new(version, ALICE, "public");
        let event = room.event(1);
        let bare = unsigned(&room, event);
        let known = || Keys::default().with(&key("a.example"), i64::MAX, None);
        let check = |event: &Event, keys: &Keys| verify_event(room.version(), event, keys);
        assert_eq!(check(event, &known()), Ok(Content::Intact));
        assert_eq!(
            check(event, &Keys::default()),
            missing("a.example"),
            "no key known"
        );
        assert_eq!(check(&bare, &known()), missing("a.example"), "no signature");
        let by_other = signed(&room, &bare, &[&key("b.example")]);
        let both = known().with(&key("b.example"), i64::MAX, None);
        assert_eq!(
            check(&by_other, &both),
            missing("a.example"),
            "another's signature"
        );

        // A second signature by an unknown key is skipped; by a known one it must be right.
        let second = other_key("a.example", "second");
        let twice = signed(&room, event, &[&second]);
        assert_eq!(check(&twice, &known()), Ok(Content::Intact));
        let all = known().with(&second, i64::MAX, None);
        assert_eq!(check(&twice, &all), Ok(Content::Intact));
        let mut object = twice.object().clone();
        let Some(Value::Object(signatures)) = object.get_mut("signatures") else {
            unreachable!()
        };
        let Some(Value::Object(own)) = signatures.get_mut("a.example") else {
            unreachable!()
        };
        own.insert("ed25519:second".to_owned(), own["ed25519:fixture"].clone());
        let spoiled = Event::parse(room.version(), object).unwrap();
        assert_eq!(check(&spoiled, &known()), Ok(Content::Intact));
        assert_eq!(check(&spoiled, &all), wrong("a.example"));
    }
}

#[test]
fn what_was_changed_later_is_not_what_was_signed() {
    let mut room = RoomFixture::new("11", ALICE, "public");
    let key = room.add(Say::message(ALICE, "m.room.message", text("hello")));
    let keys = Keys::default().with(&self::key("a.example"), i64::MAX, None);
    let change = |field: &str, value: Value| {
        let mut object = room.event(key).object().clone();
        object.insert(field.to_owned(), value);
        let event = Event::parse(room.version(), object).unwrap();
        verify_event(room.version(), &event, &keys)
    };
    assert_eq!(
        change("content", text("goodbye").into()),
        Ok(Content::MustBeRedacted)
    );
    assert_eq!(
        change("org.example.more", 1.into()),
        Ok(Content::MustBeRedacted)
    );
    assert_eq!(change("depth", 99.into()), wrong("a.example"));
    assert_eq!(
        change("sender", "@mallory:a.example".into()),
        wrong("a.example")
    );
    let padded = |hash: &str| object! { "sha256" => format!("{hash}=") };
    let hash = room.event(key).object()["hashes"]
        .get("sha256")
        .unwrap()
        .as_str()
        .unwrap();
    assert_eq!(
        change("hashes", padded(hash).into()),
        wrong("a.example"),
        "the hash is signed too"
    );
}

#[test]
fn keys_count_within_their_time() {
    let own = key("a.example");
    for (version, valid_until, expired, counts) in [
        ("4", -1, None, true),
        ("5", -1, None, false),
        ("5", 0, None, true),
        ("12", 1, None, true),
        ("12", -1, None, false),
        ("12", 0, Some(0), true),
        ("12", 0, Some(-1), false),
        ("4", 0, Some(-1), false),
    ] {
        let room = RoomFixture::new(version, ALICE, "public");
        let event = room.event(1);
        let at = event.origin_server_ts();
        let keys =
            Keys::default().with(&own, at + valid_until, expired.map(|expired| at + expired));
        let verified = verify_event(room.version(), event, &keys);
        assert_eq!(
            verified.is_ok(),
            counts,
            "version {version}, {valid_until}, {expired:?}"
        );
    }
}

#[test]
fn event_ids_restricted_joins_and_third_parties_change_who_must_sign() {
    let (a, b) = (key("a.example"), key("b.example"));
    let keys = Keys::default()
        .with(&a, i64::MAX, None)
        .with(&b, i64::MAX, None);

    // Versions 1 and 2: also the server that the event ID names.
    let room = RoomFixture::new("2", ALICE, "public");
    let mut object = room.event(1).object().clone();
    object.insert("event_id".to_owned(), "$foreign:b.example".into());
    object.insert("signatures".to_owned(), Object::new().into());
    let bare = Event::parse(room.version(), object).unwrap();
    let by = |keys_used: &[&ServerKey]| {
        verify_event(room.version(), &signed(&room, &bare, keys_used), &keys)
    };
    assert_eq!(by(&[&a]), missing("b.example"));
    assert_eq!(by(&[&b]), missing("a.example"));
    assert!(by(&[&a, &b]).is_ok());

    // From version 8 on: the server of who authorises a join.
    for (version, needed) in [("7", false), ("8", true), ("12", true)] {
        let mut room = RoomFixture::new(version, ALICE, "public");
        let content =
            object! { "membership" => "join", "join_authorised_via_users_server" => ALICE };
        let join = room.add(Say::state(
            "@bob:b.example",
            "m.room.member",
            "@bob:b.example",
            content,
        ));
        let event = room.event(join);
        let verified = verify_event(room.version(), event, &keys);
        assert_eq!(
            verified,
            if needed {
                missing("a.example")
            } else {
                Ok(Content::Intact)
            }
        );
        let cosigned = signed(&room, event, &[&a]);
        assert!(verify_event(room.version(), &cosigned, &keys).is_ok());
        assert_eq!(
            cosigned.id(),
            event.id(),
            "signatures are no part of the ID"
        );
        let merged = event.with_signatures(cosigned.object()["signatures"].as_object().unwrap());
        assert_eq!(merged, cosigned);
    }

    // An invite by third party may be sent by another server than the inviter's.
    let mut room = RoomFixture::new("11", ALICE, "public");
    let content = object! { "membership" => "invite", "third_party_invite" => Object::new() };
    let invite = room.add(Say::state(
        ALICE,
        "m.room.member",
        "@bob:b.example",
        content,
    ));
    let bare = unsigned(&room, room.event(invite));
    assert!(verify_event(room.version(), &bare, &keys).is_ok());
}

#[test]
fn many_events_are_verified_each_by_itself() {
    let mut room = RoomFixture::new("12", ALICE, "public");
    let mut events = Vec::new();
    for number in 0..40 {
        let user = format!(
            "@user{number}:{}.example",
            ["a", "b", "unknown"][number % 3]
        );
        let key = room.add(Say::member(&user, &user, "join"));
        let event = Event::clone(room.event(key));
        events.push(match number % 5 {
            0 => {
                let mut object = event.object().clone();
                object.insert("depth".to_owned(), 99_i64.into());
                Event::parse(room.version(), object).unwrap()
            }
            1 => {
                let mut object = event.object().clone();
                object.insert(
                    "content".to_owned(),
                    object! { "membership" => "join", "x" => 1 }.into(),
                );
                Event::parse(room.version(), object).unwrap()
            }
            _ => event,
        });
    }
    let keys = Keys::default()
        .with(&key("a.example"), i64::MAX, None)
        .with(&key("b.example"), i64::MAX, None);
    let results = verify_events(events.iter().map(|event| (room.version(), event)), &keys);
    for (number, (event, result)) in events.iter().zip(results).enumerate() {
        let server = UserId::parse(event.sender().as_str())
            .unwrap()
            .server_name()
            .to_string();
        let expected = match (number % 3, number % 5) {
            (2, _) => missing(&server),
            (_, 0) => wrong(&server),
            (_, 1) => Ok(Content::MustBeRedacted),
            _ => Ok(Content::Intact),
        };
        assert_eq!(result, expected, "event {number}");
    }
}

/// EVT-08: a policy server that is the server of the sender too may publish its policy key like any other.
#[test]
fn the_key_of_a_policy_server_counts_for_nothing_here() {
    let room = RoomFixture::new("11", ALICE, "public");
    let event = room.event(1);
    let policy = other_key("a.example", "policy_server");
    let published = Keys::default()
        .with(&key("a.example"), i64::MAX, None)
        .with(&policy, i64::MAX, None);
    let recommended = signed(&room, event, &[&policy]);
    assert_eq!(
        verify_event(room.version(), &recommended, &published),
        Ok(Content::Intact)
    );
    let alone = signed(&room, &unsigned(&room, event), &[&policy]);
    assert_eq!(
        verify_event(room.version(), &alone, &published),
        missing("a.example")
    );
    let name = ServerName::parse("a.example").unwrap();
    let spoilt = event.with_policy_signature(&name, "AAAA");
    assert_eq!(
        verify_event(room.version(), &spoilt, &published),
        Ok(Content::Intact)
    );
}

#[test]
fn a_policy_server_recommends_by_the_key_that_the_room_names() {
    let room = RoomFixture::new("11", ALICE, "public");
    let (event, other) = (room.event(1), room.event(2));
    let name = ServerName::parse("p.example").unwrap();
    let policy = other_key("p.example", "policy_server");
    let named = |key: &str| {
        let keys = object! { "ed25519" => key };
        PolicyServer::parse(&object! { "via" => "p.example", "public_keys" => keys })
    };
    let server = named(&policy.public_key().to_base64()).unwrap();
    let recommends = |event: &Event| server.recommends(room.version(), event);
    assert!(!recommends(event));
    let recommended = signed(&room, event, &[&policy]);
    assert!(recommends(&recommended));
    assert!(recommends(&recommended.redacted(room.version())));
    let signature = recommended.object()["signatures"].get("p.example");
    let signature = signature.and_then(|all| all.get("ed25519:policy_server")?.as_str());
    assert!(!recommends(
        &other.with_policy_signature(&name, signature.unwrap())
    ));
    let key = ServerKey::from_seed(name.clone(), "other", &[9; 32]);
    assert!(
        !recommends(&signed(&room, event, &[&key])),
        "another key id"
    );
    let spoilt = event.with_policy_signature(&name, "AAAA");
    assert!(recommends(
        &spoilt.with_policy_signature(&name, signature.unwrap())
    ));
    assert!(
        !named("no key")
            .unwrap()
            .recommends(room.version(), &recommended)
    );
    for content in [
        object! { "via" => "p.example" },
        object! { "via" => "no name!", "public_keys" => object! { "ed25519" => "AAAA" } },
        object! { "via" => "p.example", "public_keys" => object! { "other" => "AAAA" } },
        object! { "via" => 7, "public_keys" => object! { "ed25519" => "AAAA" } },
        object! { "public_keys" => object! { "ed25519" => "AAAA" } },
    ] {
        assert_eq!(PolicyServer::parse(&content), None, "{content:?}");
    }
    assert!(!policy::is_subject("m.room.policy", Some("")));
    assert!(policy::is_subject("m.room.policy", Some("x")));
    assert!(policy::is_subject("m.room.policy", None));
    assert!(policy::is_subject("m.room.name", Some("")));
}
