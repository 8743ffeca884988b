//! What must hold for every input of a kind.

use std::sync::Arc;

use proptest::prelude::*;
use ruma::UserId;
use spec::{
    auth::{Head, Members, Membership, PowerLevels, State as _},
    event::{self, Event},
    fixture::{AllKeys, RoomFixture, Say, server_key, text},
    hash,
    json::{self, Object, Strictness, Value},
    object, redact,
    resolve::{self, Difference, Entry, ResolveError, Source},
    room_version::RoomVersion,
    sign::{self, Check},
};

use crate::generated;

const VERSIONS: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-json::MAX_INTEGER..=json::MAX_INTEGER).prop_map(Value::Integer),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #![proptest_config(generated::config(200))]

    /// What was encoded is read as the same, by us and by serde_json, and encoded as before.
    #[test]
    fn json_survives_encoding(value in value()) {
        let text = json::encode(&value);
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            prop_assert_eq!(&json::parse(text.as_bytes(), strictness).unwrap(), &value);
        }
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
        prop_assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }

    /// What we read leniently, serde_json reads as the same number or text; what it refuses, so do we.
    #[test]
    fn json_is_read_as_by_serde_json(text in r#"[\[\]{}",:0-9a-e.\\u+\- tnlrsf]{0,24}"#) {
        let ours = json::parse(text.as_bytes(), Strictness::Lenient);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Ok(_), Err(error)) => prop_assert!(false, "{:?}: {}", text, error),
            (Ok(ours), Ok(theirs)) => {
                let again: serde_json::Value = serde_json::from_str(&json::encode(ours)).unwrap();
                prop_assert!(same(&again, theirs), "{:?}", text);
            }
            // Ours is the stricter: keys that come twice.
            (Err(error), Ok(_)) => prop_assert_eq!(error.kind, json::JsonErrorKind::DuplicateKey, "{:?}", text),
            (Err(_), Err(_)) => {}
        }
    }

    /// The order of the states and the integers that events have change nothing.
    #[test]
    fn resolution_does_not_depend_on_order(
        steps in generated::steps(60),
        version in 0..12_usize,
        picks in prop::collection::vec(any::<u16>(), 2..6),
        turn in 0..6_usize,
        salt in any::<usize>(),
    ) {
        let room = generated::room(VERSIONS[version], &steps, false);
        let states: Vec<Vec<(usize, usize)>> = picks
            .iter()
            .map(|pick| room.state_after(usize::from(*pick) % room.len()).into_iter().collect())
            .collect();
        let shuffled = Shuffled::new(&room, salt);
        let mut others: Vec<Vec<(usize, usize)>> =
            states.iter().map(|state| shuffled.state(state)).collect();
        let turn = turn % others.len();
        others.rotate_left(turn);
        others.push(others[0].clone());

        let slices: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
        let first = resolve::resolve(room.version(), &slices, &room).unwrap();
        let slices: Vec<&[(usize, usize)]> = others.iter().map(Vec::as_slice).collect();
        let second = resolve::resolve(room.version(), &slices, &shuffled).unwrap();
        prop_assert_eq!(shuffled.state(&first), second);
        // And what is resolved stays.
        let again = resolve::resolve(room.version(), &[&first, &first], &room).unwrap();
        prop_assert_eq!(again, first);
    }

    /// The difference that is walked by age is that of the whole chains, though an event be out of order.
    #[test]
    fn the_auth_difference_needs_no_whole_chains(
        steps in generated::steps(60),
        version in 0..12_usize,
        picks in prop::collection::vec(any::<u16>(), 2..6),
        early in any::<u16>(),
    ) {
        let room = generated::room(VERSIONS[version], &steps, false);
        // One event comes before all others, as an invite does that was heard of before its room.
        let early = usize::from(early) % room.len();
        let aged = |key: usize| if key == early { 0 } else { key + 1 };
        let number = |aged: usize| if aged == 0 { early } else { aged - 1 };
        let states: Vec<Vec<(usize, usize)>> = picks
            .iter()
            .map(|pick| room.state_after(usize::from(*pick) % room.len()).into_iter().collect())
            .collect();
        let slices: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
        let whole = room.auth_difference(&slices).unwrap();

        let states: Vec<Vec<(usize, usize)>> = states
            .iter()
            .map(|state| state.iter().map(|(slot, key)| (*slot, aged(*key))).collect())
            .collect();
        let slices: Vec<&[(usize, usize)]> = states.iter().map(Vec::as_slice).collect();
        let mut walk = Difference::of(&slices);
        walk.look_first([0]);
        loop {
            let wanted = walk.wants();
            if wanted.is_empty() {
                break;
            }
            walk.learn(wanted.into_iter().map(|key| {
                let auth = room.entry(number(key)).unwrap().auth_events;
                (key, auth.iter().map(|auth| aged(*auth)).collect())
            }));
        }
        let walked = walk.into_found().into_iter().map(number).collect();
        prop_assert_eq!(whole, walked);
    }

    /// A resolution that lacks events says which, and comes to its result once it has them.
    #[test]
    fn resolution_asks_for_what_it_needs(steps in generated::steps(40), version in 0..12_usize) {
        let room = generated::room(VERSIONS[version], &steps, false);
        let state = |key| -> Vec<(usize, usize)> { room.state_after(key).into_iter().collect() };
        let (a, b) = (state(room.len() - 1), state(room.len() / 2));
        let mut partial = Partial { room: &room, known: vec![false; room.len()] };
        let resolved = loop {
            match resolve::resolve(room.version(), &[&a, &b], &partial) {
                Ok(resolved) => break resolved,
                Err(ResolveError::Missing(keys)) => {
                    prop_assert!(!keys.is_empty());
                    for key in keys {
                        prop_assert!(!partial.known[key], "asked twice");
                        partial.known[key] = true;
                    }
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        };
        prop_assert_eq!(resolved, resolve::resolve(room.version(), &[&a, &b], &room).unwrap());
    }

    /// Redaction leaves ID and signatures valid, whatever the event holds, and takes nothing twice.
    #[test]
    fn redaction_keeps_what_names_and_signs_an_event(
        content in prop::collection::btree_map(any::<String>(), value(), 0..5),
        kept in prop::sample::subsequence(KEPT.to_vec(), 0..KEPT.len()),
        event_type in prop::sample::select(TYPES.to_vec()),
        version in 0..12_usize,
    ) {
        let mut room = RoomFixture::new(VERSIONS[version], "@alice:a.example", "public");
        let mut content: Object = content;
        for key in kept {
            content.insert(key.to_owned(), object! { "signed" => "x", "other" => 1 }.into());
        }
        let key = room.add(Say::state("@alice:a.example", event_type, "x", content));
        let (version, event) = (room.version(), room.event(key));
        let redacted = event.redacted(version);
        prop_assert_eq!(redacted.reference_hash(version), event.reference_hash(version));
        prop_assert_eq!(&redacted.redacted(version), &redacted);
        prop_assert!(sign::verify_event(version, event, &AllKeys).is_ok());
        prop_assert!(sign::verify_event(version, &redacted, &AllKeys).is_ok());
        // Through the wire and the store it stays the same.
        let object = json::parse_object(event.to_json().as_bytes(), version.json).unwrap();
        prop_assert_eq!(&Event::parse(version, object).unwrap(), &**event);
        let stored = Event::from_stored(version, event.id().to_owned(), &event.to_json()).unwrap();
        prop_assert_eq!(&stored, &**event);
    }

    /// A batch finds exactly the bad signatures, wherever they are.
    #[test]
    fn batches_find_the_bad_ones(bad in prop::collection::btree_set(0..70_usize, 0..8), count in 0..70_usize) {
        let server = UserId::parse("@a:a.example").unwrap().server_name().to_owned();
        let key = server_key(&server);
        let messages: Vec<String> = (0..count).map(|number| format!("message {number}")).collect();
        let signatures: Vec<String> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| match (bad.contains(&index), index % 3) {
                (true, 0) => "no base64!".to_owned(),
                (true, 1) => hash::base64(&[7; 64]),
                (true, _) => key.sign(b"something else"),
                (false, _) => key.sign(message.as_bytes()),
            })
            .collect();
        let checks: Vec<Check<'_>> = messages
            .iter()
            .zip(&signatures)
            .map(|(message, signature)| Check { message: message.as_bytes(), signature, key: key.public_key() })
            .collect();
        let expected: Vec<bool> = (0..count).map(|index| !bad.contains(&index)).collect();
        prop_assert_eq!(sign::verify_each(&checks), expected);
    }

    /// A head that is kept up to date decides like the state that it stands for.
    #[test]
    fn heads_decide_like_their_states(steps in generated::steps(40), version in 0..12_usize) {
        let room = generated::room(VERSIONS[version], &steps, false);
        let version = room.version();
        for key in 1..room.len() {
            let [prev] = room.event(key).prev_events() else { continue };
            let before = (0..key).find(|earlier| room.event(*earlier).id() == prev).unwrap();
            let state = room.at(before);
            let head = Head::new(
                version,
                state.get("m.room.create", "").unwrap(),
                state.get("m.room.power_levels", ""),
                state.get("m.room.join_rules", ""),
            );
            let outcome = head.check(version, room.event(key), &StateMembers(&state));
            prop_assert_eq!(outcome, room.outcome(key));
            if outcome.is_ok() {
                let mut updated = head;
                updated.apply(version, room.event(key));
                let after = room.at(key);
                let levels = after.get("m.room.power_levels", "");
                let create = after.get("m.room.create", "").unwrap();
                prop_assert_eq!(updated.power_levels(), &PowerLevels::parse(version, create, levels));
            }
        }
    }
}

const KEPT: [&str; 8] = [
    "membership",
    "join_rule",
    "allow",
    "creator",
    "redacts",
    "third_party_invite",
    "invite",
    "aliases",
];
const TYPES: [&str; 8] = [
    "m.room.member",
    "m.room.join_rules",
    "m.room.create",
    "m.room.redaction",
    "m.room.aliases",
    "m.room.power_levels",
    "m.room.history_visibility",
    "m.room.name",
];

fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

struct StateMembers<'a>(&'a spec::fixture::OwnedState<'a>);

impl Members for StateMembers<'_> {
    fn membership(&self, user: &str) -> Membership {
        Membership::of(self.0.get("m.room.member", user))
    }

    fn third_party_invite(&self, token: &str) -> Option<&Event> {
        self.0.get("m.room.third_party_invite", token)
    }
}

/// The same room under other numbers.
struct Shuffled<'a> {
    room: &'a RoomFixture,
    salt: usize,
    auth: Vec<Vec<usize>>,
}

impl<'a> Shuffled<'a> {
    fn new(room: &'a RoomFixture, salt: usize) -> Self {
        let mut shuffled = Self {
            room,
            salt,
            auth: Vec::new(),
        };
        shuffled.auth = (0..room.len())
            .map(|key| {
                let auth = room.entry(key).unwrap().auth_events;
                auth.iter()
                    .rev()
                    .map(|auth| shuffled.number(*auth))
                    .collect()
            })
            .collect();
        shuffled
    }

    /// Its own inverse.
    fn number(&self, key: usize) -> usize {
        key ^ (self.salt & 0xFFFF)
    }

    fn state(&self, state: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let mut state: Vec<_> = state
            .iter()
            .map(|(slot, key)| (self.number(*slot), self.number(*key)))
            .collect();
        state.sort_unstable();
        state
    }
}

impl Source for Shuffled<'_> {
    type Key = usize;
    type Slot = usize;

    fn entry(&self, key: usize) -> Option<Entry<'_, usize, usize>> {
        let own = self.number(key);
        let entry = self.room.entry(own)?;
        Some(Entry {
            slot: self.number(entry.slot),
            auth_events: &self.auth[own],
            ..entry
        })
    }

    fn slot(&self, event_type: &str, state_key: &str) -> Option<usize> {
        self.room
            .slot(event_type, state_key)
            .map(|slot| self.number(slot))
    }
}

/// A room of which some events are not loaded.
struct Partial<'a> {
    room: &'a RoomFixture,
    known: Vec<bool>,
}

impl Source for Partial<'_> {
    type Key = usize;
    type Slot = usize;

    fn entry(&self, key: usize) -> Option<Entry<'_, usize, usize>> {
        if self.known[key] {
            self.room.entry(key)
        } else {
            None
        }
    }

    fn slot(&self, event_type: &str, state_key: &str) -> Option<usize> {
        self.room.slot(event_type, state_key)
    }
}

/// Auth chains as long as a large room's history do not end up on the stack.
#[test]
fn long_auth_chains_are_walked_without_recursion() {
    for version in ["1", "2", "12"] {
        let mut room = RoomFixture::new(version, "@alice:a.example", "public");
        let base = room.heads().to_vec();
        for number in 0..3000 {
            let levels = object! { "users_default" => Value::from(number % 2) };
            room.add(Say::state(
                "@alice:a.example",
                "m.room.power_levels",
                "",
                with_alice(&room, levels),
            ));
        }
        let long = room.heads()[0];
        let levels = object! { "users_default" => 7 };
        let levels = with_alice(&room, levels);
        let short = room.add_after(
            &base,
            Say::state("@alice:a.example", "m.room.power_levels", "", levels),
        );
        assert!(room.outcome(long).is_ok() && room.outcome(short).is_ok());
        let resolved = std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(move || room.resolve(&[long, short]).len())
            .unwrap();
        assert_eq!(resolved.join().unwrap(), 4, "version {version}");
    }
}

fn with_alice(room: &RoomFixture, mut levels: Object) -> Object {
    if !room.version().auth.privileged_creators {
        levels.insert(
            "users".to_owned(),
            object! { "@alice:a.example" => 100 }.into(),
        );
    }
    levels
}

/// "Handling redactions": by the redact level or from the sender's own server; never across rooms, never both ways.
#[test]
fn redactions_apply_by_level_or_by_server() {
    for version in RoomVersion::all() {
        let mut room = RoomFixture::new(version.id(), "@alice:a.example", "public");
        for user in ["@ann:b.example", "@bob:b.example", "@eve:c.example"] {
            room.add(Say::member(user, user, "join"));
        }
        let message = room.add(Say::message(
            "@bob:b.example",
            "m.room.message",
            text("hello"),
        ));
        let target = Arc::clone(room.event(message));
        for (sender, applies) in [
            ("@alice:a.example", true),
            ("@ann:b.example", true),
            ("@eve:c.example", false),
        ] {
            let key = room.add(Say::redaction(sender, target.id()));
            let state = room.at(message);
            let create = state.get("m.room.create", "").unwrap();
            let levels = PowerLevels::parse(version, create, state.get("m.room.power_levels", ""));
            let redaction = room.event(key);
            // In versions 1 and 2 the rules have refused the redaction itself.
            let accepted = room.outcome(key).is_ok();
            let takes_effect = accepted && redact::applies(version, &levels, redaction, &target);
            assert_eq!(takes_effect, applies, "by {sender} in {version}");
            assert!(
                !redact::applies(version, &levels, redaction, redaction),
                "itself in {version}"
            );
            let other = RoomFixture::new(version.id(), "@alice:other.example", "public");
            assert!(
                !redact::applies(version, &levels, redaction, other.event(1)),
                "elsewhere"
            );
        }
    }
}

/// Client-server API, "Room event format"; "Redactions" for the two places of `redacts`.
#[test]
fn clients_see_what_is_for_them() {
    for version in ["10", "12"] {
        let mut room = RoomFixture::new(version, "@alice:a.example", "public");
        let message = room.add(Say::message(
            "@alice:a.example",
            "m.room.message",
            text("hello"),
        ));
        let target = room.event(message).id().to_owned();
        let redaction = room.add(Say::redaction("@alice:a.example", &target));
        let json = event::client_json(
            room.version(),
            room.event(redaction),
            object! { "age" => 1 },
        );
        let keys: Vec<&str> = json.keys().map(String::as_str).collect();
        let expected = [
            "content",
            "event_id",
            "origin_server_ts",
            "redacts",
            "room_id",
            "sender",
            "type",
            "unsigned",
        ];
        assert_eq!(keys, expected, "version {version}");
        assert_eq!(json["redacts"].as_str(), Some(target.as_str()));
        assert_eq!(
            json["content"].get("redacts").and_then(Value::as_str),
            Some(target.as_str())
        );
        let create = event::client_json(room.version(), room.event(0), Object::new());
        assert_eq!(
            create["room_id"].as_str(),
            Some(room.event(0).room_id().as_str())
        );
        let stripped: Vec<String> = event::stripped(room.event(0)).into_keys().collect();
        assert_eq!(stripped, ["content", "sender", "state_key", "type"]);
    }
}

/// What two people do in a room is allowed in every version.
#[test]
fn a_chat_passes_in_every_version() {
    const ALICE: &str = "@alice:a.example";
    const BOB: &str = "@bob:b.example";
    for version in RoomVersion::all() {
        let mut room = RoomFixture::new(version.id(), ALICE, "invite");
        room.add(Say::state(
            ALICE,
            "m.room.name",
            "",
            object! { "name" => "Chat" },
        ));
        room.add(Say::member(ALICE, BOB, "invite"));
        room.add(Say::member(BOB, BOB, "join"));
        let hello = room.add(Say::message(BOB, "m.room.message", text("hello")));
        let hello = room.event(hello).id().to_owned();
        room.add(Say::redaction(BOB, &hello));
        room.add(Say::redaction(ALICE, &hello));
        room.add(Say::member(BOB, BOB, "leave"));
        room.add(Say::member(ALICE, BOB, "ban"));
        for key in 0..room.len() {
            let event = room.event(key);
            assert_eq!(
                room.outcome(key),
                Ok(()),
                "{} in version {version}",
                event.to_json()
            );
            let auth = room.entry(key).unwrap().auth_events;
            let auth = auth.iter().map(|key| (&**room.event(*key), false));
            assert_eq!(
                spec::auth::check_auth_events(version, event, auth),
                Ok(()),
                "version {version}"
            );
            let object = json::parse_object(event.to_json().as_bytes(), version.json).unwrap();
            assert_eq!(
                &Event::parse(version, object).unwrap(),
                &**event,
                "version {version}"
            );
        }
    }
}
