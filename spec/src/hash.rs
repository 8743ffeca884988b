//! Content and reference hashes of events.
//!
//! Source: server-server API, "Calculating the reference hash for an event" and "… the content hash …".

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
    },
};
use sha2::{Digest as _, Sha256};

use crate::{
    json::{Object, Value, Writer},
    redact,
    room_version::RoomVersion,
};

/// Standard base64 that takes its input padded or not, and with any trailing bits.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Unpadded standard base64, as Matrix writes binary values.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Unpadded URL-safe base64.
pub fn base64_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes that standard base64 stands for, padded or not. `None` if it is not base64.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    TOLERANT.decode(text).ok()
}

/// The hash of all of an event but `unsigned`, `signatures` and `hashes`.
pub fn content_hash(event: &Object) -> [u8; 32] {
    let mut writer = Writer::with_capacity(1024);
    let covered = event
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "unsigned" | "signatures" | "hashes"));
    writer.object(covered.map(|(key, value)| (key.as_str(), value)));
    sha256(writer.finish().as_bytes())
}

/// Whether `event` has the content that its `hashes` promise. A redacted event has not.
pub fn has_its_content(event: &Object) -> bool {
    let promised = event
        .get("hashes")
        .and_then(|hashes| hashes.get("sha256")?.as_str());
    promised
        .and_then(from_base64)
        .is_some_and(|promised| promised == content_hash(event))
}

/// The hash of what redaction leaves of an event, `signatures` aside.
pub fn reference_hash(version: &RoomVersion, event: &Object) -> [u8; 32] {
    sha256(redact::essential_json(version, event).as_bytes())
}

/// Writes the content hash into the event's `hashes`, replacing what is there.
pub fn insert_content_hash(event: &mut Object) {
    let hash = Value::String(base64(&content_hash(event)));
    event.insert(
        "hashes".to_owned(),
        Object::from([("sha256".to_owned(), hash)]).into(),
    );
}

/// The SHA-256 hash of these bytes in unpadded URL-safe base64: identity service API, "Algorithms".
pub fn sha256_base64_url(bytes: &[u8]) -> String {
    base64_url(&sha256(bytes))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
