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
    if is_signed(signed, &public_keys(issued.content())) {
        Ok(())
    } else {
        Err(Denied::ThirdPartySignature)
    }
}

fn public_keys(content: &Object) -> Vec<PublicKey> {
    let listed = content
        .get("public_keys")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let listed = listed.iter().filter_map(|entry| entry.get("public_key"));
    let keys = content.get("public_key").into_iter().chain(listed);
    keys.filter_map(|key| PublicKey::from_base64(key.as_str()?))
        .take(MAX_TRIED)
        .collect()
}

/// Whether any signature, whoever's it is said to be, is by any of the keys.
fn is_signed(signed: &Object, keys: &[PublicKey]) -> bool {
    let Some(signers) = signed.get("signatures").and_then(Value::as_object) else {
        return false;
    };
    let message = signed_json(signed);
    signers
        .keys()
        .flat_map(|signer| signatures_of(signed, signer))
        .take(MAX_TRIED)
        .any(|(_, signature)| {
            keys.iter()
                .any(|key| key.verify(message.as_bytes(), signature))
        })
}
