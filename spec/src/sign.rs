//! Signatures: made with the server's own key, checked against the keys of others.
//!
//! A key is identified by `ed25519:version`. Other algorithms are skipped wherever signatures are read.
//!
//! Source: appendices, "Signing JSON"; server-server API, "Signing Events".

mod batch;
mod event;
mod request;
mod validity;

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use ruma::{OwnedServerName, ServerName};

pub use self::{
    batch::{Check, verify_each},
    event::{
        Content, KeyRing, SignatureError, required_signers, server_signatures, verify_event,
        verify_events,
    },
    request::{SignedRequest, XMatrix},
    validity::{MAX_KEY_VALIDITY_MS, PublishedKey, effective_valid_until},
};
use crate::{
    hash,
    json::{Object, Value, Writer},
    redact,
    room_version::RoomVersion,
};

/// The only signing algorithm that Matrix servers use.
const ALGORITHM: &str = "ed25519:";

/// The key ID of the signatures of policy servers. The key itself stands in the room ([`crate::policy`]); such a
/// signature is never one of the server that an event is from.
pub const POLICY_KEY_ID: &str = "ed25519:policy_server";

/// The key that a server signs with.
pub struct ServerKey {
    server: OwnedServerName,
    key_id: String,
    key: SigningKey,
}

impl ServerKey {
    /// The key that a seed gives. `version` is the part of the key ID after `ed25519:`.
    pub fn from_seed(server: OwnedServerName, version: &str, seed: &[u8; 32]) -> Self {
        let key_id = format!("{ALGORITHM}{version}");
        Self {
            server,
            key_id,
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The server whose key this is.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// `ed25519:` and the key's version.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What others need to check this key's signatures.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// The signature of `message`, in base64.
    pub fn sign(&self, message: &[u8]) -> String {
        hash::base64(&self.key.sign(message).to_bytes())
    }

    /// Signs an object that is not an event, adding to the signatures that it has.
    pub fn sign_object(&self, object: &mut Object) {
        let message = signed_json(object);
        self.add_signature(object, message.as_bytes());
    }

    /// Signs an event that another server has made, such as an invite, or the join that this server authorises.
    ///
    /// Covers what redaction leaves, so the content hash must be there already.
    pub fn sign_event(&self, version: &RoomVersion, event: &mut Object) {
        let message = redact::essential_json(version, event);
        self.add_signature(event, message.as_bytes());
    }

    pub(crate) fn add_signature(&self, object: &mut Object, message: &[u8]) {
        set_signature(object, &self.server, &self.key_id, &self.sign(message));
    }
}

/// Puts a signature among those of an object.
pub(crate) fn set_signature(
    object: &mut Object,
    server: &ServerName,
    key_id: &str,
    signature: &str,
) {
    let all = entry_object(object, "signatures");
    entry_object(all, server.as_str()).insert(key_id.to_owned(), Value::from(signature));
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key itself.
        f.debug_struct("ServerKey")
            .field("server", &self.server)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// A key that signatures are checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key that base64 stands for, padded or not.
    ///
    /// `None` if it is no point of the curve, or a weak one, under which anything has a valid signature.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = hash::from_base64(text)?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&bytes).ok()?;
        if key.is_weak() { None } else { Some(Self(key)) }
    }

    /// The same in either alphabet of base64, as identity servers write their keys.
    pub fn from_any_base64(text: &str) -> Option<Self> {
        Self::from_base64(&text.replace('-', "+").replace('_', "/"))
    }

    /// The key in unpadded base64.
    pub fn to_base64(&self) -> String {
        hash::base64(self.0.as_bytes())
    }

    /// Whether `signature` (base64) is this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        parse_signature(signature)
            .is_some_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// Whether `object`, which is not an event, bears a valid signature of `entity` by one of its keys.
///
/// `key` gives the entity's key for a key ID. All signatures by known keys must be valid, and one at
/// least must be there; those by unknown keys do not count.
pub fn verify_object(
    object: &Object,
    entity: &str,
    key: impl Fn(&str) -> Option<PublicKey>,
) -> bool {
    let message = signed_json(object);
    let mut any = false;
    for (key_id, signature) in signatures_of(object, entity) {
        let Some(key) = key(key_id) else { continue };
        if !key.verify(message.as_bytes(), signature) {
            return false;
        }
        any = true;
    }
    any
}

/// What the signatures of an object that is not an event cover: all but `signatures` and `unsigned`.
pub fn signed_json(object: &Object) -> String {
    let mut writer = Writer::with_capacity(512);
    let covered = object
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "signatures" | "unsigned"));
    writer.object(covered.map(|(key, value)| (key.as_str(), value)));
    writer.finish()
}

/// The ed25519 signatures of `entity` on an object: key IDs and base64.
pub fn signatures_of<'a>(
    object: &'a Object,
    entity: &str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = object
        .get("signatures")
        .and_then(|signatures| signatures.get(entity)?.as_object());
    all.into_iter().flatten().filter_map(|(key_id, signature)| {
        if !key_id.starts_with(ALGORITHM) {
            return None;
        }
        Some((key_id.as_str(), signature.as_str()?))
    })
}

pub(crate) fn parse_signature(text: &str) -> Option<Signature> {
    Signature::from_slice(&hash::from_base64(text)?).ok()
}

/// The object under `key`, made if there is none.
fn entry_object<'a>(object: &'a mut Object, key: &str) -> &'a mut Object {
    let value = object
        .entry(key.to_owned())
        .or_insert_with(|| Object::new().into());
    if !matches!(value, Value::Object(_)) {
        *value = Object::new().into();
    }
    match value {
        Value::Object(inner) => inner,
        _ => unreachable!("it was just made one"),
    }
}
