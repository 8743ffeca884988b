//! What the fuzz targets do with their input: `cargo +nightly fuzz run json` (or `event`, `server_name`) in `spec`.
//! The tests of `spec` run the same on seeds and on what chance makes of them.

use ruma::ServerName;
use spec::{
    acl::ServerAcl,
    auth,
    event::Event,
    hash,
    json::{self, Strictness},
    redact,
    room_version::RoomVersion,
    server_name,
    sign::{self, KeyRing, PublishedKey, XMatrix},
};

/// What parses is encoded canonically, reads as the same again, and strictly only if leniently as well.
pub fn json(data: &[u8]) {
    let lenient = json::parse(data, Strictness::Lenient);
    if let Ok(strict) = json::parse(data, Strictness::Strict) {
        assert_eq!(lenient.as_ref(), Ok(&strict));
        let text = json::encode(&strict);
        assert_eq!(json::parse(text.as_bytes(), Strictness::Strict), Ok(strict));
    }
    if let Ok(value) = lenient {
        let text = json::encode(&value);
        let again =
            json::parse(text.as_bytes(), Strictness::Lenient).map(|value| json::encode(&value));
        assert_eq!(again, Ok(text));
    }
}

/// The first byte picks the room version, the others are an event. What parses can be redacted, hashed, checked
/// and asked for its auth events, and keeps its ID through redaction and the store.
pub fn event(data: &[u8]) {
    let Some((pick, text)) = data.split_first() else {
        return;
    };
    let version = &RoomVersion::all()[usize::from(*pick) % RoomVersion::all().len()];
    let Ok(object) = json::parse_object(text, Strictness::Lenient) else {
        return;
    };
    let _ = redact::redact_object(version, &object);
    let _ = hash::reference_hash(version, &object);
    let _ = ServerAcl::parse(&object).allows("a.example");
    let Ok(event) = Event::parse(version, object) else {
        return;
    };
    let redacted = event.redacted(version);
    assert_eq!(redacted.id(), event.id());
    assert_eq!(
        redacted.reference_hash(version),
        event.reference_hash(version)
    );
    let stored = Event::from_stored(version, event.id().to_owned(), &event.to_json());
    assert_eq!(stored.as_ref(), Ok(&event));
    assert!(sign::verify_event(version, &event, &NoKeys).is_err() || no_signers(version, &event));
    let _ = auth::check_auth_events(version, &event, [(&event, false)]);
    let _ = auth::check(version, &event, &Itself(&event));
}

/// What parses here is a server name for ruma as well; headers and lists of any text do no harm.
pub fn server_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if server_name::parse(text).is_some() {
        assert!(ServerName::parse(text).is_ok(), "{text:?}");
    }
    if let Some(header) = XMatrix::parse(text) {
        let _ = header.to_header();
    }
    let lists = spec::object! { "allow" => vec![text], "deny" => vec![text] };
    assert!(!ServerAcl::parse(&lists).allows(text) || text.is_empty());
}

/// An invite by third party may need nobody's signature.
fn no_signers(version: &RoomVersion, event: &Event) -> bool {
    sign::required_signers(version, event).is_empty()
}

struct NoKeys;

impl KeyRing for NoKeys {
    fn key(&self, _: &ServerName, _: &str) -> Option<PublishedKey> {
        None
    }
}

/// A state in which one event holds every slot.
struct Itself<'a>(&'a Event);

impl auth::State for Itself<'_> {
    fn get(&self, _: &str, _: &str) -> Option<&Event> {
        Some(self.0)
    }
}
