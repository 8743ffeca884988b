//! Canonical JSON and names.

use ruma::UserId;
use serde::Deserialize;
use spec::{
    json::{self, Strictness},
    name::{self, Localpart},
};

use super::read;

#[derive(Deserialize)]
struct Text {
    name: String,
    text: String,
    strict: Option<String>,
    lenient: Option<String>,
}

#[test]
fn canonical_json() {
    for case in read::<Vec<Text>>("canonical_json.json") {
        for (strictness, expected) in [
            (Strictness::Strict, &case.strict),
            (Strictness::Lenient, &case.lenient),
        ] {
            let parsed = json::parse(case.text.as_bytes(), strictness);
            let encoded = parsed.map(|value| json::encode(&value)).ok();
            assert_eq!(
                encoded.as_ref(),
                expected.as_ref(),
                "{} ({strictness:?})",
                case.name
            );
            // What is canonical stays as it is.
            if let Some(canonical) = encoded {
                let again = json::parse(canonical.as_bytes(), strictness);
                let again = again.map(|value| json::encode(&value)).ok();
                assert_eq!(again, Some(canonical), "{} again", case.name);
            }
        }
    }
}

#[derive(Deserialize)]
struct Names {
    localparts: Vec<Kind>,
    aliases: Vec<Validity>,
    user_ids: Vec<Validity>,
    room_versions: Vec<Validity>,
}

#[derive(Deserialize)]
struct Kind {
    text: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Validity {
    text: String,
    valid: bool,
}

#[test]
fn names() {
    let names: Names = read("names.json");
    for case in names.localparts {
        let kind = name::localpart(&case.text).map(|kind| match kind {
            Localpart::Current => "current",
            Localpart::Historical => "historical",
            Localpart::NonCompliant => "non-compliant",
        });
        assert_eq!(kind, case.kind.as_deref(), "{:?}", case.text);
    }
    for case in names.aliases {
        assert_eq!(name::is_alias(&case.text), case.valid, "{:?}", case.text);
    }
    for case in names.user_ids {
        assert_eq!(
            UserId::parse(&case.text).is_ok(),
            case.valid,
            "{:?}",
            case.text
        );
    }
    for case in names.room_versions {
        assert_eq!(
            name::is_room_version(&case.text),
            case.valid,
            "{:?}",
            case.text
        );
    }
}
