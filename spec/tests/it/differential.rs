//! The same rooms, decided by us and by ruma's crates. Where the two differ on purpose, the case is named here.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ruma::{ServerName, UserId, serde::Base64};
use ruma_signatures::{
    Ed25519KeyPair, PublicKeyMap, Verified, content_hash, hash_and_sign_event, reference_hash,
    verify_event,
};
use spec::{
    event::Event,
    fixture::{AllKeys, RoomFixture, Slots, server_key},
    hash,
    json::Value,
    resolve::Source,
    sign,
};

use crate::{
    generated,
    ruma_room::{RumaRoom, canonical, rules},
};

const VERSIONS: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];

proptest! {
    #![proptest_config(generated::config(48))]

    /// Hashes, event IDs and signatures of every event.
    #[test]
    fn events_are_hashed_and_signed_as_by_ruma(steps in generated::steps(12), version in 2..12_usize) {
        let room = generated::room(VERSIONS[version], &steps, false);
        for key in 0..room.len() {
            same_seal(&room, room.event(key));
        }
    }

    /// Whether each event is allowed before the state it comes after.
    #[test]
    fn events_are_allowed_as_by_ruma(
        steps in generated::steps(60),
        version in 2..12_usize,
        explicit in any::<bool>(),
    ) {
        let room = generated::room(VERSIONS[version], &steps, explicit);
        let ruma = RumaRoom::new(&room);
        for key in 0..room.len() {
            let before = room.state_before(&parents(&room, key));
            let theirs = ruma.allows(key, &before);
            let ours = room.outcome(key);
            let differs = touches_a_default(&room, key, &before) || enters_without_rules(&room, key, &before);
            if ours.is_ok() && differs {
                continue;
            }
            prop_assert_eq!(
                ours.is_ok(), theirs.is_ok(),
                "version {}, event {}: {:?} and {:?}", VERSIONS[version], room.event(key).to_json(), ours, theirs
            );
        }
    }

    /// The state that several events, anywhere in the room, resolve to.
    #[test]
    fn states_are_resolved_as_by_ruma(
        steps in generated::steps(80),
        version in 1..12_usize,
        picks in prop::collection::vec(any::<u16>(), 2..5),
    ) {
        let room = generated::room(VERSIONS[version], &steps, true);
        let differs = |key| enters_without_rules(&room, key, &room.state_before(&parents(&room, key)));
        prop_assume!(!(0..room.len()).any(differs));
        let ruma = RumaRoom::new(&room);
        let mut after: Vec<usize> = picks.iter().map(|pick| usize::from(*pick) % room.len()).collect();
        after.push(room.len() - 1);
        let states: Vec<Vec<(usize, usize)>> =
            after.iter().map(|key| room.state_after(*key).into_iter().collect()).collect();
        let ours: BTreeMap<String, usize> = room
            .resolve(&after)
            .into_iter()
            .map(|(slot, key)| {
                let (event_type, state_key) = room.slot_name(slot);
                (format!("{event_type}|{state_key}"), key)
            })
            .collect();
        prop_assert_eq!(ours, ruma.resolve(&states), "after {:?} in version {} of\n{}", after, VERSIONS[version], generated::describe(&room));
    }
}

/// Whether an event adds or removes one of the single levels.
///
/// ruma compares the sender's power with the default that held before or holds then; the text, as we read it
/// and as Synapse does, only with values that are there. `vectors/auth/power_levels.json` has the cases.
fn touches_a_default(room: &RoomFixture, key: usize, before: &Slots) -> bool {
    let event = room.event(key);
    let slot = Source::slot(room, "m.room.power_levels", "").and_then(|slot| before.get(&slot));
    let Some(current) = slot.map(|key| room.event(*key)) else {
        return false;
    };
    let names = [
        "users_default",
        "events_default",
        "state_default",
        "ban",
        "redact",
        "kick",
        "invite",
    ];
    event.event_type() == "m.room.power_levels"
        && names.iter().any(|name| {
            event.content().contains_key(*name) != current.content().contains_key(*name)
        })
}

/// Whether an event joins a room that has no join rules, and is not the creator's first.
///
/// ruma lets nobody in then; to us, as to Synapse, it is a room for those who are invited. The text says nothing.
fn enters_without_rules(room: &RoomFixture, key: usize, before: &Slots) -> bool {
    let event = room.event(key);
    let joins = event.event_type() == "m.room.member"
        && event.content().get("membership").and_then(Value::as_str) == Some("join");
    let rules = Source::slot(room, "m.room.join_rules", "").and_then(|slot| before.get(&slot));
    joins && rules.is_none() && parents(room, key) != [0]
}

fn parents(room: &RoomFixture, key: usize) -> Vec<usize> {
    let prev = room.event(key).prev_events();
    (0..key)
        .filter(|earlier| prev.iter().any(|id| room.event(*earlier).id() == id))
        .collect()
}

fn same_seal(room: &RoomFixture, event: &Event) {
    let rules = rules(room.version());
    let object = canonical(event.object());
    let theirs = content_hash(&object).unwrap();
    assert_eq!(
        hash::content_hash(event.object()).as_slice(),
        theirs.as_bytes()
    );
    let theirs = reference_hash(&object, &rules).unwrap();
    assert_eq!(
        event.id().as_str(),
        format!("${theirs}"),
        "{}",
        event.to_json()
    );

    let server: &ServerName = event.sender().server_name();
    let mut unsigned = object.clone();
    unsigned.remove("signatures");
    unsigned.remove("hashes");
    hash_and_sign_event(
        server.as_str(),
        &ruma_key(server),
        &mut unsigned,
        &rules.redaction,
    )
    .unwrap();
    assert_eq!(unsigned, object, "{}", event.to_json());

    let redacted = event.redacted(room.version());
    assert_eq!(
        redacted.reference_hash(room.version()),
        event.reference_hash(room.version())
    );
    for event in [event, &redacted] {
        let ours = match sign::verify_event(room.version(), event, &AllKeys) {
            Ok(sign::Content::Intact) => "intact",
            Ok(sign::Content::MustBeRedacted) => "redacted",
            Err(_) => "refused",
        };
        let theirs = match verify_event(&public_keys(), &canonical(event.object()), &rules) {
            Ok(Verified::All) => "intact",
            Ok(Verified::Signatures) => "redacted",
            Err(_) => "refused",
        };
        assert_eq!(ours, theirs, "{}", event.to_json());
    }
}

fn public_keys() -> PublicKeyMap {
    let mut all = PublicKeyMap::new();
    for user in generated::USERS {
        let server = UserId::parse(user).unwrap().server_name().to_owned();
        let key = Base64::parse(server_key(&server).public_key().to_base64()).unwrap();
        all.insert(
            server.to_string(),
            [("ed25519:fixture".to_owned(), key)].into(),
        );
    }
    all
}

/// The fixtures' key of a server, in ruma's type: PKCS#8, version 1, holds the seed behind a fixed prefix.
fn ruma_key(server: &ServerName) -> Ed25519KeyPair {
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend(spec::fixture::seed(server));
    let key = Ed25519KeyPair::from_der(&der, "fixture".to_owned()).unwrap();
    assert_eq!(
        hash::base64(&key.public_key()),
        server_key(server).public_key().to_base64()
    );
    key
}
