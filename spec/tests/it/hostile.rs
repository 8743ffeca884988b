//! The fuzz targets' bodies on seeds and on what chance makes of them: briefly, in every test run.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the library of a crate of its own")]
mod targets;

use std::time::Instant;

use proptest::prelude::*;
use spec::{
    event::{Event, FormatError},
    fixture::{RoomFixture, Say},
    json::{self, JsonErrorKind, Strictness, Value},
    object,
    room_version::RoomVersion,
};

use crate::generated;

fn events() -> Vec<String> {
    let mut seeds = Vec::new();
    for version in RoomVersion::all() {
        let mut room = RoomFixture::new(version.id(), "@alice:a.example", "public");
        let target = room.event(1).id().to_owned();
        room.add(Say::redaction("@alice:a.example", &target));
        let invite =
            object! { "mxid" => "@bob:b.example", "token" => "t", "signatures" => object! {} };
        let invite = object! { "membership" => "invite", "third_party_invite" => object! { "signed" => invite } };
        room.add(Say::state(
            "@alice:a.example",
            "m.room.member",
            "@bob:b.example",
            invite,
        ));
        seeds.extend((0..room.len()).map(|key| room.event(key).to_json()));
    }
    seeds
}

/// A seed with some bytes changed, taken out, or doubled.
fn mutated(seeds: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..4);
    (prop::sample::select(seeds), changes, any::<u8>()).prop_map(|(seed, changes, pick)| {
        let mut bytes = seed.into_bytes();
        for (place, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => {
                    let end = bytes.len().min(at + usize::from(byte));
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes.insert(0, pick);
        bytes
    })
}

proptest! {
    #![proptest_config(generated::config(400))]

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..64)) {
        targets::json(&data);
        targets::event(&data);
        targets::server_name(&data);
    }

    #[test]
    fn almost_json_and_almost_events(data in mutated(events())) {
        targets::json(&data[1..]);
        targets::event(&data);
    }

    #[test]
    fn almost_server_names(text in r#"[\[\]a-fA-F0-9.:\-x ",=@]{0,40}"#, header in any::<bool>()) {
        let text = if header { format!("X-Matrix {text}") } else { text };
        targets::server_name(text.as_bytes());
    }
}

/// A megabyte of anything is refused or read at once; what grows with the square of the text would take minutes.
#[test]
fn hostile_texts_take_linear_time() {
    type Make = fn(usize) -> String;
    let texts: [(&str, Make); 8] = [
        ("open arrays", |n| "[".repeat(n)),
        ("open objects", |n| "{\"\":".repeat(n / 4)),
        ("escapes", |n| format!("\"{}\"", "\\u0041".repeat(n / 6))),
        ("digits", |n| "1".repeat(n)),
        ("digits after the point", |n| format!("0.{}", "1".repeat(n))),
        ("exponent", |n| format!("1e{}", "0".repeat(n))),
        ("white space", |n| " ".repeat(n)),
        ("keys", |n| {
            let keys: Vec<String> = (0..n / 16).map(|key| format!("\"{key:09}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        }),
    ];
    for (name, text) in texts {
        let text = text(1_000_000);
        let start = Instant::now();
        let _ = json::parse(text.as_bytes(), Strictness::Lenient).map(|value| json::encode(&value));
        // Generous: the machine has others to serve.
        assert!(
            start.elapsed().as_secs() < 10,
            "{name}: {:?}",
            start.elapsed()
        );
    }
}

/// Deep values, built without our parser, are refused and not walked with the program's stack.
#[test]
fn deep_values_are_refused() {
    let room = RoomFixture::new("11", "@alice:a.example", "public");
    let mut object = room.event(1).object().clone();
    let deep = (0..1000).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    object.insert("content".to_owned(), object! { "deep" => deep }.into());
    assert_eq!(
        Event::parse(room.version(), object),
        Err(FormatError::TooDeep)
    );
    let text = "{\"a\":".repeat(10_000);
    let error = json::parse_object(text.as_bytes(), Strictness::Strict).unwrap_err();
    assert_eq!(error.kind, JsonErrorKind::TooDeep);
}
