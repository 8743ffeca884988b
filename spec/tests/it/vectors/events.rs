//! Hashes, signatures, event IDs and redactions.

use ruma::ServerName;
use serde::Deserialize;
use spec::{
    event::Event,
    hash,
    json::{Object, Value},
    redact,
    room_version::EventIds,
    sign::{self, PublicKey, ServerKey},
};

use super::{read, versions};

fn key(server: &str, key_id: &str, seed: &str) -> ServerKey {
    let seed = hash::from_base64(seed).unwrap().try_into().unwrap();
    ServerKey::from_seed(
        ServerName::parse(server).unwrap(),
        &key_id["ed25519:".len()..],
        &seed,
    )
}

#[derive(Deserialize)]
struct Signatures {
    seed: String,
    public_key: String,
    server: String,
    key_id: String,
    objects: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    name: String,
    object: Object,
    signature: String,
}

#[test]
fn signatures() {
    let vectors: Signatures = read("signatures.json");
    let key = key(&vectors.server, &vectors.key_id, &vectors.seed);
    assert_eq!(key.public_key().to_base64(), vectors.public_key);
    let public = |id: &str| (id == key.key_id()).then(|| key.public_key());
    for case in vectors.objects {
        let mut object = case.object.clone();
        key.sign_object(&mut object);
        let (_, made) = sign::signatures_of(&object, &vectors.server)
            .next()
            .unwrap();
        assert_eq!(made, case.signature, "{}", case.name);
        assert!(
            sign::verify_object(&object, &vectors.server, public),
            "{}",
            case.name
        );
        assert!(
            !sign::verify_object(&object, &vectors.server, |_| None),
            "{}",
            case.name
        );
        object.insert("more".to_owned(), true.into());
        assert!(
            !sign::verify_object(&object, &vectors.server, public),
            "{}",
            case.name
        );
    }
    // Under a point of small order anything is validly signed.
    assert_eq!(PublicKey::from_base64(&hash::base64(&[0; 32])), None);
}

#[derive(Deserialize)]
struct Events {
    seed: String,
    server: String,
    key_id: String,
    events: Vec<Sealed>,
}

#[derive(Deserialize)]
struct Sealed {
    name: String,
    versions: String,
    event: Object,
    hash: String,
    signature: String,
    event_id: Option<String>,
    room_id: Option<String>,
}

#[test]
fn hashes_signatures_and_ids() {
    let vectors: Events = read("events.json");
    let key = key(&vectors.server, &vectors.key_id, &vectors.seed);
    for case in vectors.events {
        for version in versions(&case.versions) {
            let case_name = format!("{} in version {version}", case.name);
            let mut event = case.event.clone();
            hash::insert_content_hash(&mut event);
            key.sign_event(version, &mut event);
            let made = event["hashes"].get("sha256").and_then(Value::as_str);
            assert_eq!(made, Some(case.hash.as_str()), "{case_name}");
            let (_, made) = sign::signatures_of(&event, &vectors.server).next().unwrap();
            assert_eq!(made, case.signature, "{case_name}");
            assert!(hash::has_its_content(&event), "{case_name}");
            let Some(id) = &case.event_id else { continue };
            let reference_hash = hash::reference_hash(version, &event);
            let encoded = match version.event_ids {
                EventIds::HashStandard => hash::base64(&reference_hash),
                _ => hash::base64_url(&reference_hash),
            };
            assert_eq!(format!("${encoded}"), *id, "{case_name}");
            let parsed = Event::parse(version, event).unwrap();
            assert_eq!(parsed.id().as_str(), id, "{case_name}");
            if let Some(room_id) = &case.room_id {
                assert_eq!(parsed.room_id().as_str(), room_id, "{case_name}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Redaction {
    name: String,
    versions: String,
    event: Object,
    content: Object,
    dropped: Vec<String>,
}

#[test]
fn redactions() {
    for case in read::<Vec<Redaction>>("redactions.json") {
        for version in versions(&case.versions) {
            let left = redact::redact_object(version, &case.event);
            let dropped: Vec<&String> = case
                .event
                .keys()
                .filter(|key| !left.contains_key(*key))
                .collect();
            assert_eq!(
                dropped,
                case.dropped.iter().collect::<Vec<_>>(),
                "{} in {version}",
                case.name
            );
            assert_eq!(
                left["content"],
                Value::Object(case.content.clone()),
                "{} in {version}",
                case.name
            );
            assert_eq!(
                redact::redact_object(version, &left),
                left,
                "{} in {version}, twice",
                case.name
            );
            // What is signed and hashed is the same before and after.
            let hash = |event| hash::reference_hash(version, event);
            assert_eq!(hash(&left), hash(&case.event), "{} in {version}", case.name);
        }
    }
}
