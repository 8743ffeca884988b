//! Invites to people known by an e-mail address or telephone number only.
//!
//! Source: each room version's rules for `membership` `invite`; server-server API, "Third-party invites".

use super::{Denied, View};
use crate::{
    event::Event,
    json::{Object, Value},
    sign::{PublicKey, signatures_of, signed_json},
};

/// How many signatures and keys are tried. Every pair is one verification, and an event has room for hundreds
/// of each; a real invite has one or two.
const MAX_TRIED: usize = 16;

/// The token by which an invite names the `m.room.third_party_invite` event that it fulfils.
pub(super) fn token(content: &Object) -> Option<&str> {
    content
        .get("third_party_invite")?
        .get("signed")?
        .get("token")?
        .as_str()
}

pub(super) fn check(
    event: &Event,
    target: &str,
    third_party: &Value,
    view: &impl View,
) -> Result<(), Denied> {
    let signed = third_party.get("signed").and_then(Value::as_object);
    let signed = signed.ok_or(Denied::ThirdPartyMalformed)?;
    let text = |name| {
        signed
            .get(name)
            .and_then(Value::as_str)
            .ok_or(Denied::ThirdPartyMalformed)
    };
    let (mxid, token) = (text("mxid")?, text("token")?);
    if mxid != target {
        return Err(Denied::ThirdPartyForAnother);
    }
    let issued = view
        .third_party_invite(token)
        .ok_or(Denied::ThirdPartyUnknown)?;
    if issued.sender() != event.sender() {
        return Err(Denied::ThirdPartySender);
    }
    if third_party_signers(issued.content(), signed).is_empty() {
        return Err(Denied::ThirdPartySignature);
    }
    Ok(())
}

/// A key that an `m.room.third_party_invite` event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdPartyKey<'a> {
    /// The key, as the event spells it.
    pub public_key: &'a str,
    /// Where it can be asked whether the key is still valid.
    pub key_validity_url: Option<&'a str>,
    key: PublicKey,
}

impl<'a> ThirdPartyKey<'a> {
    fn parse(value: &'a Object) -> Option<Self> {
        let public_key = value.get("public_key")?.as_str()?;
        let url = value.get("key_validity_url").and_then(Value::as_str);
        Some(Self {
            public_key,
            key_validity_url: url,
            key: PublicKey::from_any_base64(public_key)?,
        })
    }
}

/// Those keys of the content of an `m.room.third_party_invite` event by which a `signed` object is signed, whoever is
/// said to have signed it. None, if the invite was revoked.
pub fn third_party_signers<'a>(content: &'a Object, signed: &Object) -> Vec<ThirdPartyKey<'a>> {
    let Some(signers) = signed.get("signatures").and_then(Value::as_object) else {
        return Vec::new();
    };
    let message = signed_json(signed);
    let signatures = signers.keys();
    let signatures = signatures.flat_map(|signer| signatures_of(signed, signer));
    let signatures: Vec<&str> = signatures.map(|(_, text)| text).take(MAX_TRIED).collect();
    let mut keys = public_keys(content);
    keys.retain(|key| {
        let mut signatures = signatures.iter();
        signatures.any(|signature| key.key.verify(message.as_bytes(), signature))
    });
    keys
}

fn public_keys(content: &Object) -> Vec<ThirdPartyKey<'_>> {
    let listed = content
        .get("public_keys")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let listed = listed.iter().filter_map(Value::as_object);
    let keys = std::iter::once(content).chain(listed);
    keys.filter_map(ThirdPartyKey::parse)
        .take(MAX_TRIED)
        .collect()
}
